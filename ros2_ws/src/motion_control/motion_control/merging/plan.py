"""What the arm will do, step by step, and how chunks get into it.

Invariants, whatever comes in and in whatever order: the executed step rises by one each time; no row is executed twice;
a chunk never makes the schedule end earlier; a chunk of another episode, an old one, or one with a number that is not
finite or out of range changes nothing; no executed row differs from the one before it by more than `max_step`.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from motion_control.errors import ChunkRefusedError
from motion_control.merging.bounds import StepBounds
from motion_control.merging.strategies import Overlap, Strategy

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class StepChunk:
    """A policy's answer: `rows` (H, A), the first for `first_step`, the step of the observation that it answers.

    epoch: the episode it belongs to. observation_ns: the observation's time, which tells newer chunks from older
    ones. frozen_rows: so many rows repeat what was committed when the policy was asked.
    """

    epoch: int
    observation_ns: int
    first_step: int
    rows: Array
    frozen_rows: int = 0


@dataclass(frozen=True)
class MergeReport:
    """What became of a chunk: taken or not, and why not. `executed`: its rows that came too late and were dropped."""

    taken: bool
    reason: str
    executed: int = 0


@dataclass(frozen=True, eq=False)
class Commitment:
    """What will be executed next unless a chunk arrives: `rows` (P, A), the first at `first_step`; P may be 0."""

    first_step: int
    rows: Array


@dataclass(frozen=True, eq=False)
class _Schedule:
    """Immutable; a change makes another one. `rows[0]` is for `next_step`."""

    epoch: int
    next_step: int
    before: Array
    rows: Array
    votes: NDArray[np.int64]
    observation_ns: int | None


class ActionPlan:
    """One arm's plan. Thread-safe: chunks come from one thread, steps are taken in another.

    Raises ChunkRefusedError if `start` (A,), where the arm is commanded to be, is not finite and in range.
    """

    def __init__(self, bounds: StepBounds, strategy: Strategy, start: Array, epoch: int = 1) -> None:
        self.bounds = bounds
        self.strategy = strategy
        self._lock = threading.Lock()
        self._schedule = self._empty(epoch, start)

    def begin(self, epoch: int, start: Array) -> None:
        """A new episode from `start` (A,): nothing is scheduled, steps count from 0 again."""
        fresh = self._empty(epoch, start)
        with self._lock:
            self._schedule = fresh

    @property
    def next_step(self) -> int:
        """The step that `take` gives next; an observation taken now is of this step."""
        return self._schedule.next_step

    @property
    def remaining(self) -> int:
        """Steps that are scheduled."""
        return len(self._schedule.rows)

    def take(self) -> tuple[int, Array] | None:
        """The next step and its row (A,), which from now on counts as executed; None if nothing is scheduled.

        While nothing is scheduled steps do not go on: the arm stands, and the next chunk begins where it stopped.
        """
        with self._lock:
            now = self._schedule
            if not len(now.rows):
                return None
            row = self.bounds.step_towards(now.before, now.rows[0])
            row.setflags(write=False)
            self._schedule = replace(
                now, next_step=now.next_step + 1, before=row, rows=now.rows[1:], votes=now.votes[1:]
            )
            return now.next_step, row

    def commitment(self, steps: int) -> Commitment:
        """The rows of at most the next `steps` steps, as they will be executed."""
        now = self._schedule
        rows = np.empty((min(steps, len(now.rows)), self.bounds.width))
        before = now.before
        for i in range(len(rows)):
            rows[i] = before = self.bounds.step_towards(before, now.rows[i])
        return Commitment(now.next_step, rows)

    def merge(self, chunk: StepChunk) -> MergeReport:
        """Take a chunk into the plan, if it still fits; otherwise the plan stays as it is."""
        rows = np.array(chunk.rows, dtype=np.float64)
        if problem := self.bounds.problem(rows):
            return MergeReport(False, f"refused: {problem}")
        with self._lock:
            now = self._schedule
            executed = now.next_step - chunk.first_step
            if reason := self._unfit(now, chunk, executed, len(rows)):
                return MergeReport(False, reason, max(0, executed))
            self._schedule = self._merged(now, rows[executed:], chunk.observation_ns)
            return MergeReport(True, "", executed)

    def _unfit(self, now: _Schedule, chunk: StepChunk, executed: int, horizon: int) -> str | None:
        if chunk.epoch != now.epoch:
            return f"of episode {chunk.epoch}; this is episode {now.epoch}"
        if now.observation_ns is not None and chunk.observation_ns <= now.observation_ns:
            return "older than what is being played"
        if executed < 0:
            return f"begins at step {chunk.first_step}, which has not come; the next one is {now.next_step}"
        if executed >= horizon:
            return f"late: all {horizon} steps were executed before it came"
        if self.strategy.conditioned and executed > chunk.frozen_rows:
            return f"late: {executed} steps were executed, the policy counted on {chunk.frozen_rows}"
        return None

    def _merged(self, now: _Schedule, new: Array, observation_ns: int) -> _Schedule:
        both = min(len(now.rows), len(new))
        rows, votes = new.copy(), np.ones(len(new), dtype=np.int64)
        if both:
            overlap = Overlap(now.before, now.rows[:both], now.votes[:both], new[:both], self.bounds.max_step)
            rows[:both] = self.strategy.blend(overlap)
            votes[:both] += now.votes[:both]
        tail = slice(both, None) if len(now.rows) > len(new) else slice(0, 0)
        return replace(
            now,
            rows=np.concatenate([rows, now.rows[tail]]),
            votes=np.concatenate([votes, now.votes[tail]]),
            observation_ns=observation_ns,
        )

    def _empty(self, epoch: int, start: Array) -> _Schedule:
        before = np.array(start, dtype=np.float64)
        if problem := self.bounds.problem(before[None] if before.ndim == 1 else before):
            raise ChunkRefusedError(f"the plan's start makes no sense: {problem}")
        nothing = np.empty((0, self.bounds.width))
        return _Schedule(epoch, 0, before, nothing, np.empty(0, dtype=np.int64), None)
