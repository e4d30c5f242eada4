"""Where the seconds of a worker go, and what was executed in them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Spent:
    """Wall-clock seconds of one worker by what it did, or the sum over several workers."""

    environment_s: float = 0.0
    """In resets and steps, without pictures."""
    render_s: float = 0.0
    """Making what the policy sees."""
    inference_s: float = 0.0
    """Asking the policy and waiting for its answer."""
    cpu_s: float = 0.0
    """Processor time, whatever for, of the worker and of inference workers for it."""
    executed: Counter[str] = field(default_factory=Counter)
    """Steps and chunks executed meanwhile; see `BatchEnv.executed`. Empty for environments that don't count."""

    def add(self, other: Spent) -> None:
        """Add what somebody else spent."""
        self.environment_s += other.environment_s
        self.render_s += other.render_s
        self.inference_s += other.inference_s
        self.cpu_s += other.cpu_s
        self.executed += other.executed

    @property
    def busy_s(self) -> float:
        """Seconds that are accounted for."""
        return self.environment_s + self.render_s + self.inference_s


class Stopwatch:
    """Sums up what one worker spends until it is asked."""

    def __init__(self) -> None:
        self._spent = Spent()
        self._cpu_s = time.process_time()

    @contextmanager
    def environment(self, env: object) -> Iterator[None]:
        """Time a call of an environment; one that counts its `render_s` has them taken out, and what one counts as
        `executed` is added up."""
        began, rendered = time.perf_counter(), getattr(env, "render_s", 0.0)
        executed = Counter(getattr(env, "executed", ()))
        yield
        self._spent.executed += Counter(getattr(env, "executed", ())) - executed
        render_s = getattr(env, "render_s", 0.0) - rendered
        self._spent.render_s += render_s
        self._spent.environment_s += time.perf_counter() - began - render_s

    @contextmanager
    def inference(self) -> Iterator[None]:
        """Time a call of a player."""
        began = time.perf_counter()
        yield
        self._spent.inference_s += time.perf_counter() - began

    def count(self, cpu_s: float) -> None:
        """Add processor time that another process spent for this one."""
        self._spent.cpu_s += cpu_s

    def take(self) -> Spent:
        """What was spent since the last call."""
        spent, now = self._spent, time.process_time()
        spent.cpu_s, self._cpu_s = spent.cpu_s + now - self._cpu_s, now
        self._spent = Spent()
        return spent
