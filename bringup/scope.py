"""One mapping of a launch file: which keys it may have, and their values after substitution."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bringup.errors import LaunchFileError
from bringup.located_yaml import Block
from bringup.substitutions import SubstitutionError, evaluate, split_command, substitute

_PROCESS_KEYS = {
    "name": str,
    "output": str,
    "respawn": str,
    "respawn_delay": float,
    "on_exit": str,
    "sigterm_timeout": float,
    "sigkill_timeout": float,
    "env": list,
}
ACTION_KEYS: dict[str, dict[str, type]] = {
    "arg": {"name": str, "default": str, "description": str},
    "set_env": {"name": str, "value": str},
    "include": {"file": str, "arg": list},
    "executable": {"cmd": str, **_PROCESS_KEYS},
    "node": {"pkg": str, "exec": str, "namespace": str, "param": list, "remap": list, "args": str, **_PROCESS_KEYS},
}
REQUIRED_KEYS = {
    "arg": ("name",),
    "set_env": ("name", "value"),
    "include": ("file",),
    "executable": ("cmd", "name"),
    "node": ("pkg", "exec", "name"),
}


class Scope:
    """One mapping of a launch file with its allowed keys: checked on creation, substituted on access."""

    def __init__(
        self,
        path: Path,
        kind: str,
        body: Any,  # noqa: ANN401 - whatever the file holds
        line: int,
        variables: Mapping[str, str],
        environment: Mapping[str, str],
        keys: Mapping[str, Any] | None = None,
    ) -> None:
        self._path, self._kind = path, kind
        self._variables, self._environment = variables, environment
        if not isinstance(body, Block):
            raise LaunchFileError(path, line, f"'{kind}' expects a mapping")
        self._body = body
        allowed = ACTION_KEYS[kind] if keys is None else keys
        for key, value in body.items():
            if key not in allowed:
                raise self.error(f"key '{key}' of '{kind}' is not supported; supported: {', '.join(allowed)}", key)
            if allowed[key] is not None and (not isinstance(value, allowed[key])):
                wanted = {str: "text (in quotes if it looks like a number or yes/no)", float: "a number with a point"}
                raise self.error(f"'{key}' must be {wanted.get(allowed[key], 'a list')}, not {value!r}", key)
        for key in REQUIRED_KEYS[kind] if keys is None else ():
            if key not in body:
                raise self.error(f"'{kind}' needs '{key}'")

    def error(self, text: str, key: str = "") -> LaunchFileError:
        """An error at `key`, or at the mapping as a whole."""
        return LaunchFileError(self._path, self._body.key_lines.get(key, self._body.line), text)

    def _value_of(self, body: str) -> str:
        return evaluate(body, self._variables, self._environment, self._path.parent)

    def raw(self, key: str, default: str | None = None) -> str:
        """Text as written, without substitution."""
        value = self._body.get(key, default)
        if value is None:
            raise self.error(f"'{self._kind}' needs '{key}'")
        return value

    def value(self, key: str) -> Any:  # noqa: ANN401 - a parameter's value may be any scalar or list
        """What the file holds, untouched; None if the key is absent."""
        return self._body.get(key)

    def text(self, key: str) -> str:
        """Text with its substitutions made."""
        try:
            return substitute(self.raw(key), self._value_of)
        except SubstitutionError as error:
            raise self.error(str(error), key) from error

    def optional(self, key: str) -> str | None:
        """Like `text`, None if the key is absent."""
        return self.text(key) if key in self._body else None

    def words(self, key: str) -> list[str]:
        """A command line's words; none if the key is absent."""
        try:
            return split_command(self._body.get(key, ""), self._value_of)
        except SubstitutionError as error:
            raise self.error(str(error), key) from error

    def seconds(self, key: str, default: float) -> float:
        """A duration, not negative."""
        value = self._body.get(key, default)
        if value < 0.0:
            raise self.error(f"'{key}' must not be negative", key)
        return value

    def choice(self, key: str, choices: Mapping[str, bool], default: str) -> bool:
        """One of a few words, after substitution."""
        word = self.optional(key)
        word = default if word is None else word.lower()
        if word not in choices:
            raise self.error(f"'{key}' must be one of {', '.join(filter(None, choices))}, not '{word}'", key)
        return choices[word]

    def entries(self, key: str, keys: Mapping[str, Any]) -> list[Scope]:
        """The mappings in a list such as `param`, each with its own allowed keys; empty if the key is absent."""
        line = self._body.key_lines.get(key, self._body.line)
        items = self._body.get(key, [])
        return [Scope(self._path, key, item, line, self._variables, self._environment, keys) for item in items]
