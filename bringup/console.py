"""Lines of many processes on one console, each with its process's name before it."""

from __future__ import annotations

import sys

_COLOURS = (36, 33, 35, 32, 34, 96, 93, 95)


class Console:
    """Prints `[name] line`; names are coloured where standard output is a terminal."""

    def __init__(self) -> None:
        self._colours: dict[str, int] = {}
        self._in_colour = sys.stdout.isatty()

    def emit(self, name: str, line: str) -> None:
        """Print one line at once."""
        label = f"[{name}]"
        if self._in_colour:
            colour = self._colours.setdefault(name, _COLOURS[len(self._colours) % len(_COLOURS)])
            label = f"\x1b[{colour}m{label}\x1b[0m"
        print(f"{label} {line}", flush=True)
