"""The substitutions of ROS 2 launch files that this project uses: `$(var x)`, `$(env X default)`, `$(dirname)`."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path

_SUBSTITUTION = re.compile(r"\$\(([^()$]*)\)")
KNOWN = ("var", "env", "dirname")


class SubstitutionError(ValueError):
    """A substitution that is unknown, malformed or has no value."""


def has_substitution(text: str) -> bool:
    """Whether `text` contains `$(`."""
    return "$(" in text


def evaluate(body: str, variables: Mapping[str, str], environment: Mapping[str, str], folder: Path) -> str:
    """Value of one substitution, given as the text between `$(` and `)`."""
    words = shlex.split(body)
    match words:
        case ["dirname"]:
            return str(folder)
        case ["var", name]:
            if name not in variables:
                raise SubstitutionError(f"no argument '{name}' is declared before its use")
            return variables[name]
        case ["env", name]:
            if name not in environment:
                raise SubstitutionError(f"environment variable {name} is not set; give a default: $(env {name} VALUE)")
            return environment[name]
        case ["env", name, default]:
            return environment.get(name, default)
    if words and words[0] in KNOWN:
        raise SubstitutionError(f"$({body}) has the wrong number of words")
    raise SubstitutionError(f"$({body}) is not supported here; supported: $(var X), $(env X DEFAULT), $(dirname)")


def substitute(text: str, value_of: Callable[[str], str]) -> str:
    """`text` with every `$(...)` replaced by `value_of` its inside."""
    result = _SUBSTITUTION.sub(lambda match: value_of(match[1]), text)
    if has_substitution(_SUBSTITUTION.sub("", text)):
        raise SubstitutionError("a '$(' is not closed, or one substitution stands inside another")
    return result


def split_command(text: str, value_of: Callable[[str], str]) -> list[str]:
    """Words of a command line as a shell splits them; what a substitution yields is never split further."""
    bodies: list[str] = []

    def hide(match: re.Match[str]) -> str:
        bodies.append(match[1])
        return f"\x00{len(bodies) - 1}\x00"

    hidden = _SUBSTITUTION.sub(hide, text)
    if has_substitution(hidden):
        raise SubstitutionError("a '$(' is not closed, or one substitution stands inside another")
    try:
        words = shlex.split(hidden)
    except ValueError as error:
        raise SubstitutionError(f"not a command line: {error}") from error
    return [re.sub("\x00(\\d+)\x00", lambda match: value_of(bodies[int(match[1])]), word) for word in words]
