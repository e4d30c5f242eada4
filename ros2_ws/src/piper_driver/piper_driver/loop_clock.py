"""Deadlines of a periodic loop, and how well they are kept."""

import math

_BINS_PER_OCTAVE = 8
_FIRST_BIN_NS = 1000
_BINS = 24 * _BINS_PER_OCTAVE  # 1 us to 16 s


class DurationHistogram:
    """Counts of durations from 1 us to 16 s in bins 9 % wide, so that a long run needs no more memory than a short."""

    def __init__(self) -> None:
        self.count = 0
        self.max_ns = 0
        self._bins = [0] * _BINS

    def add(self, duration_ns: int) -> None:
        """Count one duration, ns; negative ones count as 0."""
        self.count += 1
        self.max_ns = max(self.max_ns, duration_ns)
        octaves = math.log2(max(duration_ns, _FIRST_BIN_NS) / _FIRST_BIN_NS)
        self._bins[min(int(octaves * _BINS_PER_OCTAVE), _BINS - 1)] += 1

    def quantile_ms(self, quantile: float) -> float:
        """Duration that this share of them does not exceed, ms, to within 9 % (below 1 us: 0.001; 0 if empty)."""
        wanted = quantile * self.count
        seen = 0
        for index, count in enumerate(self._bins):
            seen += count
            if seen >= wanted and seen > 0:
                upper_ns = _FIRST_BIN_NS * 2.0 ** ((index + 1) / _BINS_PER_OCTAVE)
                return min(upper_ns, max(self.max_ns, _FIRST_BIN_NS)) / 1e6
        return 0.0


class LoopClock:
    """Absolute deadlines on a grid of `period_ns`. Ticks that passed are dropped, never made up for."""

    def __init__(self, period_ns: int, start_ns: int) -> None:
        self.period_ns = period_ns
        self.deadline_ns = start_ns
        self.ticks = 0
        self.overruns = 0
        """Ticks that were dropped because their time had passed."""
        self.missed_in_a_row = 0
        """Ticks in a row that took longer than their period, or began so late that the next one was dropped."""
        self.lateness = DurationHistogram()
        """From a tick's deadline to its begin."""
        self.work = DurationHistogram()
        """From a tick's begin to its end, by the wall clock."""
        self._first_ns = self._last_ns = start_ns

    def begin(self, now_ns: int) -> None:
        """The tick of the current deadline begins."""
        self.lateness.add(max(now_ns - self.deadline_ns, 0))
        if self.ticks == 0:
            self._first_ns = now_ns
        self._last_ns = now_ns
        self.ticks += 1

    def finish(self, now_ns: int) -> None:
        """The tick's work is done: the next deadline is the first at least half a period after the tick began."""
        self.work.add(now_ns - self._last_ns)
        earliest_ns = max(self._last_ns + self.period_ns // 2, now_ns)
        periods = max(1, -((self.deadline_ns - earliest_ns) // self.period_ns))
        self.overruns += periods - 1
        self.missed_in_a_row = self.missed_in_a_row + 1 if periods > 1 else 0
        self.deadline_ns += periods * self.period_ns

    @property
    def mean_hz(self) -> float:
        """Ticks a second since the first tick; 0 before the second."""
        elapsed_ns = self._last_ns - self._first_ns
        return (self.ticks - 1) * 1e9 / elapsed_ns if elapsed_ns > 0 else 0.0
