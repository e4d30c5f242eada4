"""How busy a training run keeps the cores."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import psutil


class TreeClock:
    """Processor time of a process and of all its descendants, those that have ended since the last look included."""

    def __init__(self) -> None:
        self._seen: dict[tuple[int, float], float] = {}

    def cpu_s(self, process_id: int) -> float:
        """Seconds of all of them, so far."""
        with contextlib.suppress(psutil.Error):
            root = psutil.Process(process_id)
            for process in [root, *root.children(recursive=True)]:
                with contextlib.suppress(psutil.Error):  # it has just ended
                    times = process.cpu_times()
                    self._seen[process.pid, process.create_time()] = times.user + times.system
        return sum(self._seen.values())


class BusyWatch:
    """Processor time over wall time and cores, from the end of a run's first update to the end of its last.

    Args:
        metrics: file to which the run adds a line after every update.
        cores: that the run may use.
    """

    def __init__(self, metrics: Path, cores: int) -> None:
        self._metrics = metrics
        self._cores = cores
        self._clock = TreeClock()
        self._size = self._bytes()
        self._marks: list[tuple[float, float]] = []

    def look(self, process_id: int) -> None:
        """To be called about twice a second while the run goes on."""
        cpu_s = self._clock.cpu_s(process_id)
        size = self._bytes()
        if size > self._size:
            self._marks.append((time.monotonic(), cpu_s))
        self._size = size

    def share(self) -> float | None:
        """0..1; None if there were not two updates to look between."""
        if len(self._marks) < 2:
            return None
        (began, cpu_then), (ended, cpu_now) = self._marks[0], self._marks[-1]
        return (cpu_now - cpu_then) / (ended - began) / self._cores

    def _bytes(self) -> int:
        return self._metrics.stat().st_size if self._metrics.is_file() else 0
