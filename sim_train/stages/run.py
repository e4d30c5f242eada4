"""What the stages of one run share."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

from rich.console import Console

from sim_train.algorithms.parallel import GradientThreads
from sim_train.config import TrainConfig
from sim_train.reports.progress import MetricsFile
from sim_train.reports.wandb_log import WandbLog
from sim_train.rigs import load_rig
from sim_train.rollouts.engine import RolloutEngine
from sim_train.scale.team import Shared, Team

T = TypeVar("T")
CTRL_C = 130
"""Exit status after Ctrl-C, as shells have it."""
TERMINATED = 143
"""Exit status after SIGTERM, as shells have it."""


class StopFlag:
    """Set by the first Ctrl-C (or SIGTERM); a second one ends the program at once, by KeyboardInterrupt."""

    def __init__(self) -> None:
        self.requested = False
        self.status = CTRL_C
        """Exit status that tells which signal it was."""

    def request(self, number: int, frame: FrameType | None) -> None:
        """Signal handler."""
        self.status = TERMINATED if number == signal.SIGTERM else CTRL_C
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True

    @contextmanager
    def listening(self) -> Iterator[StopFlag]:
        """Listen to SIGINT and SIGTERM for a while."""
        before = {number: signal.signal(number, self.request) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


class InterruptedRunError(RuntimeError):
    """The user stopped the run; everything that was done is saved and a second start goes on from there."""


@dataclass(frozen=True)
class Run:
    """One training run."""

    config: TrainConfig
    pool: RolloutEngine
    threads: GradientThreads
    console: Console
    stop: StopFlag = field(default_factory=StopFlag)
    team: Team | None = None
    """The processes that learn; None: this one alone."""
    log: WandbLog | None = None
    """Who else gets the metrics."""

    def share(self, make: Callable[..., T], *parts: object) -> Shared[T]:
        """A learner in every process of the team; see `Team.share`."""
        return (self.team or Team(self.threads)).share(make, *parts)

    @property
    def root(self) -> Path:
        """Directory of the run."""
        return Path(self.config.output_dir)

    def checkpoint(self, stage: str) -> Path:
        """Directory of a stage's result."""
        return self.root / stage

    def state(self, stage: str) -> Path:
        """Directory of a stage's half-done state."""
        return self.root / "state" / stage

    def fingerprint(self, stage: str) -> dict[str, Any]:
        """What must be equal for a stage's result, or its half-done state, to be used again: settings and rig."""
        return {**self.config.fingerprint(stage), "rig": load_rig(self.config.rig).to_plain()}

    def metrics(self, stage: str) -> MetricsFile:
        """The stage's curves."""
        return MetricsFile(self.root / "metrics" / f"{stage}.jsonl", self.log.writer(stage) if self.log else None)
