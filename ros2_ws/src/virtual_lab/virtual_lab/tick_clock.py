"""Deadlines of a fixed-rate loop, as pure logic."""

from typing import Final

MAX_CATCH_UP_TICKS: Final = 4
"""Ticks that may be made up for in a burst after a stall; the rest of a longer stall is skipped."""


class TickClock:
    """Absolute deadlines `period_ns` apart; nothing drifts, and a long stall does not end in a burst."""

    def __init__(self, period_ns: int) -> None:
        self._period_ns = period_ns
        self._start_ns: int | None = None
        self._deadline_ns = 0
        self.ticks = 0
        """Ticks made."""
        self.skipped = 0
        """Ticks that stalls cost."""

    def wait_ns(self, now_ns: int) -> int:
        """Time to sleep until the next tick, 0 if it is due; the first always is."""
        return max(0, self._deadline_ns - now_ns)

    def tick(self, now_ns: int) -> None:
        """A tick begins now: sets the next deadline."""
        if self._start_ns is None:
            self._start_ns = self._deadline_ns = now_ns
        self.ticks += 1
        self._deadline_ns += self._period_ns
        behind = (now_ns - self._deadline_ns) // self._period_ns
        if behind > MAX_CATCH_UP_TICKS:
            self.skipped += behind
            self._deadline_ns += behind * self._period_ns

    def mean_hz(self, now_ns: int) -> float:
        """Ticks a second since the first; 0 before the second."""
        if self._start_ns is None or self.ticks < 2:
            return 0.0
        return (self.ticks - 1) * 1e9 / (now_ns - self._start_ns)
