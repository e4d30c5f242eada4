"""One call of `play`: what is to be done, what is done, and what it cost; the same for every engine."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from sim_train.rollouts.episodes import Job, Start, starts_of
from sim_train.rollouts.timers import Spent
from sim_train.rollouts.trajectories import Trajectories, concatenate
from sim_train.rollouts.worker import Report, Task, split

MAX_RESTARTS = 2
"""Times that one share of the work may bring a worker down without finishing an episode in between."""


class WorkerFailureError(RuntimeError):
    """A share of the work cannot be done."""


@dataclass(frozen=True)
class PlayReport:
    """What one call cost."""

    seconds: float
    """Wall time."""
    faults: int
    """Episodes played again because the simulator failed."""
    restarts: int
    """Workers started again."""
    workers: int = 1
    """Workers that could play."""
    spent: Spent = field(default_factory=Spent)
    """Seconds of all workers together, by what they did."""

    @property
    def idle_s(self) -> float:
        """Seconds of all workers together in which they did nothing of what `spent` names: mostly waiting."""
        return max(self.workers * self.seconds - self.spent.busy_s, 0.0)


@dataclass
class Share:
    """One worker's part of a call."""

    missing: dict[tuple[int, int], Start]
    """Episodes that are not finished, by group and member."""
    done: bool = False
    falls: int = 0
    """Workers that it has brought down since its last finished episode."""

    @classmethod
    def of(cls, starts: Sequence[Start]) -> Share:
        """These episodes."""
        return cls({(start.group, start.member): start for start in starts})


class Call:
    """Everything that one call of `play` has brought home.

    Raises:
        ValueError: there is nothing to play.
    """

    def __init__(
        self, jobs: Sequence[Job], task: Task, seed: int, workers: int, on_progress: Callable[[int], None]
    ) -> None:
        if not jobs:
            raise ValueError("nothing to play: no jobs were given")
        self.task = task
        self.seed = seed
        self.workers = workers
        self.shares = [Share.of(starts_of(part)) for part in split(jobs, workers) if part]
        self.restarts = 0
        self._on_progress = on_progress
        self._parts: list[Trajectories] = []
        self._keys: list[tuple[int, int]] = []
        self._faults = 0
        self._spent = Spent()
        self._started_s = time.monotonic()

    @property
    def done(self) -> bool:
        """Whether all episodes are there."""
        return all(share.done for share in self.shares)

    def receive(self, share: Share, report: Report) -> None:
        """A worker has something to say."""
        self._faults += report.faults
        self._spent.add(report.spent)
        if report.arrays is not None:
            self._parts.append(Trajectories.from_arrays(report.arrays))
            self._keys += report.keys
            for key in report.keys:
                del share.missing[key]
            share.falls = 0
        self._on_progress(len(self._keys))

    def fallen(self, share: Share, who: str, reason: str) -> None:
        """A worker went down over this share; what is missing is to be played by another.

        Raises:
            WorkerFailureError: it has brought down too many.
        """
        share.falls += 1
        if share.falls > MAX_RESTARTS:
            raise WorkerFailureError(
                f"{who} {reason}, {share.falls} times on the same work; "
                "its own error is printed above. If it ran out of memory, use fewer worlds (envs_per_worker)"
            )
        self.restarts += 1
        share.done = not share.missing

    def result(self) -> tuple[Trajectories, PlayReport]:
        """All trajectories by group, then member, and what they cost."""
        order = sorted(range(len(self._keys)), key=self._keys.__getitem__)
        merged = concatenate(self._parts).select(np.array(order))
        seconds = time.monotonic() - self._started_s
        return merged, PlayReport(seconds, self._faults, self.restarts, self.workers, self._spent)
