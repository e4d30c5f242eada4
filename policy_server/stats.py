"""What one revision has done since it was loaded: counters for guardrails, listings and the load of the server."""

import threading
from collections import deque
from dataclasses import dataclass

import numpy as np

_WINDOW = 512
"""Inference times that the quantile is taken of."""


@dataclass(frozen=True)
class StatsSnapshot:
    """Counts since the revision was loaded. Two of them subtracted give what happened in between."""

    answers: int
    """Rows whose actions were good."""
    deadline_misses: int
    """Requests refused because they could not be answered in time, and rows that were ready too late."""
    bad_answers: int
    """Rows that the policy failed: it raised, or its actions had a wrong shape, a NaN or left the declared range."""
    numbers: int
    """Action numbers in all answers."""
    clipped_numbers: int
    """Those of them that lie on the edge of their declared range."""
    busy_ns: int
    """Time in which the policy ran."""
    p95_infer_ns: int
    """95th percentile of the latest inferences; 0 before the first."""

    @property
    def clipped(self) -> float:
        """Share of the action numbers on the edge of their range, 0..1."""
        return self.clipped_numbers / self.numbers if self.numbers else 0.0


class RevisionStats:
    """Counters of one revision. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._answers = self._deadline_misses = self._bad_answers = 0
        self._numbers = self._clipped_numbers = 0
        self._busy_ns = 0
        self._infer_ns: deque[int] = deque(maxlen=_WINDOW)

    def answered(self, numbers: int, clipped_numbers: int) -> None:
        """Count a good row of `numbers` action numbers, `clipped_numbers` of them on the edge of their range."""
        with self._lock:
            self._answers += 1
            self._numbers += numbers
            self._clipped_numbers += clipped_numbers

    def deadline_missed(self) -> None:
        """Count a request that was not, or could not be, answered in time."""
        with self._lock:
            self._deadline_misses += 1

    def bad_answer(self) -> None:
        """Count a row that the policy failed."""
        with self._lock:
            self._bad_answers += 1

    def inferred(self, infer_ns: int) -> None:
        """Note how long one batch took."""
        with self._lock:
            self._busy_ns += infer_ns
            self._infer_ns.append(infer_ns)

    def snapshot(self) -> StatsSnapshot:
        """All counts at one moment."""
        with self._lock:
            return StatsSnapshot(
                answers=self._answers,
                deadline_misses=self._deadline_misses,
                bad_answers=self._bad_answers,
                numbers=self._numbers,
                clipped_numbers=self._clipped_numbers,
                busy_ns=self._busy_ns,
                p95_infer_ns=round(float(np.percentile(self._infer_ns, 95))) if self._infer_ns else 0,
            )
