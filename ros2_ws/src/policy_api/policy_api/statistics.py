"""What a robot knows of its answers: how long they took, how old they were, how often none came in time.

Takes times as arguments (nanoseconds of the robot's monotonic clock) and reads no clock.
"""

import math
import threading
from collections import Counter, deque
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from policy_api.errors import DeadlineExceeded, PolicyApiError, ServerUnavailable, StaleRequest, Superseded
from policy_api.schema import Timing

WINDOW_NS = 60_000_000_000
"""How far back quantiles look."""
MAX_ANSWERS = 4096
"""How many answers quantiles look at, at most."""

STAGES = ("queue", "decode", "preprocess", "infer", "postprocess")
_ERRORS: tuple[tuple[type[PolicyApiError], str], ...] = (
    (DeadlineExceeded, "deadline_misses"),
    (Superseded, "superseded"),
    (StaleRequest, "stale"),
    (ServerUnavailable, "unavailable"),
)


@dataclass(frozen=True)
class Quantiles:
    """Of one quantity over the window, milliseconds."""

    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float


@dataclass(frozen=True)
class StatisticsSnapshot:
    """Counts since the beginning, quantiles over the last minute.

    rtt: from sending an observation to its answer. age: from the observation's own time to its answer, what the arm
    acts on is so old. server: the stages of `policy_api.schema.Timing`. network: what is left of rtt without them.
    Each is None while there is no answer in the window.
    """

    answers: int = 0
    starved: int = 0
    """How often the arm had played all it had before the next chunk came."""
    deadline_misses: int = 0
    superseded: int = 0
    stale: int = 0
    """Answers dropped because their episode was over, or that came out of order."""
    unavailable: int = 0
    refused: int = 0
    """Any other error."""
    rtt: Quantiles | None = None
    age: Quantiles | None = None
    network: Quantiles | None = None
    server: dict[str, Quantiles] = field(default_factory=dict)
    mean_batch: float | None = None


@dataclass(frozen=True)
class _Answer:
    now_ns: int
    rtt_ns: int
    age_ns: int
    timing: Timing


class ClientStatistics:
    """Counts and a window of answers. Thread-safe."""

    def __init__(self, window_ns: int = WINDOW_NS) -> None:
        self._window_ns = window_ns
        self._answers: deque[_Answer] = deque(maxlen=MAX_ANSWERS)
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()

    def answered(self, sent_ns: int, observation_ns: int, timing: Timing, now_ns: int) -> None:
        """An answer to the observation taken at `observation_ns` and sent at `sent_ns` arrived."""
        with self._lock:
            self._counts["answers"] += 1
            self._answers.append(_Answer(now_ns, now_ns - sent_ns, now_ns - observation_ns, timing))

    def failed(self, error: PolicyApiError) -> None:
        """An observation got an error instead of an answer."""
        name = next((name for kind, name in _ERRORS if isinstance(error, kind)), "refused")
        with self._lock:
            self._counts[name] += 1

    def starved(self) -> None:
        """The arm has nothing left to play; whoever plays the chunks says so, once each time."""
        with self._lock:
            self._counts["starved"] += 1

    def delay_steps(self, dt_ns: int, most: int, now_ns: int) -> int:
        """Control steps of `dt_ns` that will probably be executed before the next answer comes, 1..`most`.

        What 95 % of the answers of the last minute took, in whole steps: `Committed.delay_steps`. Without any answer
        it is `most`, the careful guess.
        """
        with self._lock:
            self._forget_old(now_ns)
            rtt_ns = [answer.rtt_ns for answer in self._answers]
        if not rtt_ns:
            return most
        return min(most, max(1, math.ceil(float(np.quantile(rtt_ns, 0.95)) / dt_ns)))

    def snapshot(self, now_ns: int) -> StatisticsSnapshot:
        """Everything up to now."""
        with self._lock:
            self._forget_old(now_ns)
            window = list(self._answers)
            counts = self._counts.copy()
        totals = StatisticsSnapshot(
            answers=counts["answers"],
            starved=counts["starved"],
            deadline_misses=counts["deadline_misses"],
            superseded=counts["superseded"],
            stale=counts["stale"],
            unavailable=counts["unavailable"],
            refused=counts["refused"],
        )
        if not window:
            return totals
        rtt_ms = np.array([answer.rtt_ns for answer in window]) / 1e6
        stages_ms = np.array([[getattr(answer.timing, f"{stage}_us") for stage in STAGES] for answer in window]) / 1e3
        return replace(
            totals,
            rtt=_quantiles(rtt_ms),
            age=_quantiles(np.array([answer.age_ns for answer in window]) / 1e6),
            network=_quantiles(rtt_ms - stages_ms.sum(axis=1)),
            server={stage: _quantiles(stages_ms[:, i]) for i, stage in enumerate(STAGES)},
            mean_batch=float(np.mean([answer.timing.batch for answer in window])),
        )

    def _forget_old(self, now_ns: int) -> None:
        while self._answers and self._answers[0].now_ns < now_ns - self._window_ns:
            self._answers.popleft()


def _quantiles(values_ms: NDArray[np.float64]) -> Quantiles:
    p50, p95, p99 = np.quantile(values_ms, (0.5, 0.95, 0.99))
    return Quantiles(float(p50), float(p95), float(p99), float(values_ms.max()))
