"""Where cells are measured: scratch directories, the project's commands, and what the user hears."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.rl.cells import Cell, Store
from benchmarks.rl.commands import run_module, tail


def _silent(text: str) -> None:
    pass


@dataclass(frozen=True)
class Workshop:
    """What a measurement may use."""

    scratch: Path
    """Runs and checkpoints, kept so that interrupted cells go on; never committed."""
    store: Store
    """Results of other cells."""
    cells: Mapping[str, Cell]
    """All cells by name."""
    say: Callable[[str], None] = _silent
    """Shows how far it is."""

    def place(self, cell: Cell) -> Path:
        """The cell's own scratch directory; another one whenever its settings change."""
        return self.scratch / "cells" / f"{cell.name}-{cell.fingerprint[:8]}"

    def command(
        self, module: str, settings: Mapping[str, Any], log: Path, watch: Callable[[int], None] | None = None
    ) -> None:
        """Run a command of the project and show the last line of its log; see `run_module`."""

        def look(process_id: int) -> None:
            if watch:
                watch(process_id)
            last = tail(log, 1)
            self.say(module if last.startswith("$ ") else last)

        run_module(module, settings, log, look)
