"""The one error a launch file can cause; its text names the file and the line."""

from __future__ import annotations

from pathlib import Path


class LaunchFileError(ValueError):
    """A launch file, or an argument given to it, that cannot be run as written."""

    def __init__(self, path: Path, line: int | None, text: str) -> None:
        """`line` counts from 1; None when the mistake is not in one line."""
        super().__init__(f"{path}:{line}: {text}" if line else f"{path}: {text}")
