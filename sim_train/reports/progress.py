"""What a run tells while it runs: a bar on a terminal, plain lines elsewhere, one JSON line a step in a file."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from sim_train.reports.dashboard import Dashboard

_PLAIN_EVERY_S = 10.0


class MetricsFile:
    """Appends one JSON object a line. After an interruption, `keep` drops lines newer than the resumed state.

    A process that is killed may leave its last line torn: without its end, it counts as not written.
    """

    def __init__(self, path: Path, also: Callable[[dict[str, Any]], None] | None = None) -> None:
        """`also` gets each record, too."""
        self.path = path
        self._also = also
        path.parent.mkdir(parents=True, exist_ok=True)

    def write(self, record: dict[str, Any]) -> None:
        """Append one record."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
        if self._also is not None:
            self._also(record)

    def keep(self, lines: int) -> None:
        """Drop everything after the first `lines` records."""
        fresh = self.path.with_suffix(".tmp")
        fresh.write_text("".join(self._lines()[:lines]), encoding="utf-8")
        fresh.replace(self.path)

    def read(self) -> list[dict[str, Any]]:
        """All records."""
        return [json.loads(line) for line in self._lines()]

    def _lines(self) -> list[str]:
        """Whole lines, each with its end."""
        text = self.path.read_text(encoding="utf-8") if self.path.exists() else ""
        return [line for line in text.splitlines(keepends=True) if line.endswith("\n")]


class Stage:
    """Progress of one stage. Use as a context manager.

    Args:
        name: shown in front of everything.
        total: steps of the stage, in whatever unit `advance` counts.
        console: where to write; a console that is no terminal gets a line every ten seconds instead of a bar.
    """

    def __init__(self, name: str, total: float, console: Console) -> None:
        self.name = name
        self.total = total
        self._console = console
        self._live = console.is_terminal
        self._done = 0.0
        self._said_s = 0.0
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=16),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}"),
            console=console,
            disable=not self._live,
        )
        self._task = self._bar.add_task(name, total=total, note="")
        self._dashboard = Dashboard(total)
        self._screen = Live(Group(self._bar, self._dashboard), console=console, refresh_per_second=4)

    def __enter__(self) -> Stage:
        if self._live:
            self._screen.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._screen.stop()

    def advance(self, done: float, note: str = "", record: dict[str, Any] | None = None) -> None:
        """Say how far it is, and what there is to say about it.

        Args:
            done: of `total`.
            note: shown beside the bar, or at the end of the line.
            record: of one update, see `diagnostics`; a terminal shows it below the bar. The stage then counts minutes.
        """
        self._done = min(done, self.total)
        if record is not None and self._live:
            self._dashboard.add(record)
        if self._live:
            self._bar.update(self._task, completed=round(self._done, 1), note=note)
        elif time.monotonic() - self._said_s > _PLAIN_EVERY_S:
            self._said_s = time.monotonic()
            self._console.print(f"{self.name}: {_short(self._done)}/{_short(self.total)} {note}", highlight=False)

    def say(self, text: str) -> None:
        """A line that stays."""
        self._console.print(f"{self.name}: {text}", highlight=False)


def _short(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")
