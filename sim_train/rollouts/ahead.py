"""Playing the next update's episodes while the trainer makes the present one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import TYPE_CHECKING

from sim_train.policies.kinds import StoredPolicy
from sim_train.rollouts.calls import PlayReport
from sim_train.rollouts.episodes import Job
from sim_train.rollouts.trajectories import Trajectories
from sim_train.rollouts.worker import Task

if TYPE_CHECKING:
    from sim_train.rollouts.engine import RolloutEngine

MAX_STALENESS = 1
"""Versions that trajectories may be older than the weights that learn from them."""


class StaleError(RuntimeError):
    """Trajectories are older than learning allows: a mistake of the program, not of its user."""


class _AbandonedError(RuntimeError):
    """Nobody waits for these episodes any more."""


def check_staleness(played: Trajectories, version: int) -> None:
    """Raise StaleError if trajectories are more than `MAX_STALENESS` versions older than `version`."""
    if len(played) and version - int(played.version.min()) > MAX_STALENESS:
        raise StaleError(
            f"trajectories of version {played.version.min()} came to weights of version {version}; at most "
            f"{MAX_STALENESS} older may be learned from"
        )


class AheadEngine:
    """An engine that also plays in the background. Use as a context manager; closes the engine.

    One call at a time: whatever is asked of it in the meantime, new weights included, waits for the episodes that are
    being played ahead. They are all of one version, that of the weights at `play_ahead`.
    """

    def __init__(self, engine: RolloutEngine) -> None:
        self.engine = engine
        self._thread = ThreadPoolExecutor(1, "ahead")
        self._ahead: Future[tuple[Trajectories, PlayReport]] | None = None
        self._abandoned = False

    def __enter__(self) -> AheadEngine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def set_policy(self, policy: StoredPolicy, version: int) -> None:
        """See `RolloutEngine.set_policy`."""
        self._settle()
        self.engine.set_policy(policy, version)

    def play(
        self, jobs: Sequence[Job], task: Task, seed: int, on_progress: Callable[[int], None] = lambda finished: None
    ) -> tuple[Trajectories, PlayReport]:
        """See `RolloutEngine.play`."""
        self._settle()
        return self.engine.play(jobs, task, seed, on_progress)

    def play_ahead(self, jobs: Sequence[Job], task: Task, seed: int) -> None:
        """Begin to play; `collect` gives the result. ValueError if there is one that was not collected."""
        if self._ahead is not None:
            raise ValueError("episodes that were played ahead must be collected before others are played")
        self._ahead = self._thread.submit(self.engine.play, jobs, task, seed, self._on_progress)

    @property
    def pending(self) -> bool:
        """Whether there is something to collect."""
        return self._ahead is not None

    def collect(self) -> tuple[Trajectories, PlayReport]:
        """What was played ahead, as `play` would have given it; waits for it. ValueError if nothing was."""
        if self._ahead is None:
            raise ValueError("nothing was played ahead")
        ahead, self._ahead = self._ahead, None
        return ahead.result()

    def close(self) -> None:
        """Give up what is being played, and stop all workers."""
        self._abandoned = True
        self._settle()
        self._thread.shutdown()
        self.engine.close()

    def _settle(self) -> None:
        if self._ahead is not None:
            self._ahead.exception()  # waits; an error is raised to who collects

    def _on_progress(self, finished: int) -> None:
        if self._abandoned:
            raise _AbandonedError
