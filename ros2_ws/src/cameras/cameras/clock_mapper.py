"""The time of a camera's own clock as monotonic time of the host, from stamps and arrivals alone.

A frame arrives a while after it was taken: a shortest time that is always the same, and a random one on top. Within
each second the frame with the least delay lies near the line arrival = offset + (1 + drift) * stamp. A line through
these fastest frames (Theil-Sen: the median of all slopes, which a quarter of bad points cannot move far) gives offset
and drift.
Compare Moon, Skelly, Towsley, "Estimation and removal of clock skew from network delay measurements", INFOCOM 1999.

The shortest delay itself cannot be seen this way: captures are late by it, constantly, and it has to be calibrated.
"""

from collections import deque
from typing import Final

import numpy as np

_SECOND_NS: Final = 1_000_000_000
_WINDOW_SECONDS: Final = 60
_FIT_FROM_SECONDS: Final = 5
MAX_DRIFT: Final = 500e-6
"""Crystals are within 100 ppm; more than this is no drift but trouble."""

JUMP_NS: Final = 100_000_000
"""A clock that is off by more has jumped (the device was reset, its counter wrapped, a recording began anew)."""


class _Line:
    """Offset and drift since the device's clock last jumped. Inside, times are relative to the first frame's."""

    def __init__(self, stamp_ns: int, arrival_ns: int) -> None:
        self._stamp0_ns, self._arrival0_ns = stamp_ns, arrival_ns
        self._offset_ns = 0.0
        self.slope = 0.0
        self._second_began_ns = 0
        self._fastest = (0, 0)  # elapsed and delay of this second's fastest frame
        self._seconds: deque[tuple[int, int]] = deque(maxlen=_WINDOW_SECONDS)

    def place(self, stamp_ns: int, arrival_ns: int) -> int | None:
        """The stamp's monotonic time; None if the device's clock must have jumped."""
        elapsed_ns = stamp_ns - self._stamp0_ns
        delay_ns = (arrival_ns - self._arrival0_ns) - elapsed_ns
        if self._late_ns(elapsed_ns, delay_ns) < -JUMP_NS:
            return None  # faster than the fastest: set forward
        if elapsed_ns - self._second_began_ns >= _SECOND_NS:
            if self._late_ns(*self._fastest) > JUMP_NS:
                return None  # for a second, everything came late: set back
            self._seconds.append(self._fastest)
            self._second_began_ns = elapsed_ns
            self._fastest = (elapsed_ns, delay_ns)
            self._fit()
        elif delay_ns < self._fastest[1]:
            self._fastest = (elapsed_ns, delay_ns)
        self._offset_ns = min(self._offset_ns, delay_ns - self.slope * elapsed_ns)
        return self._arrival0_ns + elapsed_ns + round(self._offset_ns + self.slope * elapsed_ns)

    def _late_ns(self, elapsed_ns: int, delay_ns: int) -> float:
        return delay_ns - self._offset_ns - self.slope * elapsed_ns

    def _fit(self) -> None:
        if len(self._seconds) < _FIT_FROM_SECONDS:
            return
        x, y = np.array(self._seconds, dtype=np.float64).T
        later, earlier = np.tril_indices(len(x), -1)
        slopes = (y[later] - y[earlier]) / (x[later] - x[earlier])
        self.slope = float(np.clip(np.median(slopes), -MAX_DRIFT, MAX_DRIFT))
        self._offset_ns = float(np.min(y - self.slope * x))


class ClockMapper:
    """Maps stamps of one clock. Feed it every frame, in the order of arrival."""

    def __init__(self) -> None:
        self._line: _Line | None = None
        self._last_stamp_ns = 0
        self.jumps = 0
        """How often the device's clock has jumped."""

    @property
    def drift_ppm(self) -> float:
        """By how much the device's clock is slow, millionths; 0 until it is known."""
        return self._line.slope * 1e6 if self._line else 0.0

    def to_monotonic(self, stamp_ns: int, arrival_ns: int) -> int:
        """Monotonic time (ns) at which the device's clock said `stamp_ns`, never after `arrival_ns`."""
        placed = None
        if self._line is not None and stamp_ns >= self._last_stamp_ns:
            placed = self._line.place(stamp_ns, arrival_ns)
        if placed is None:
            self.jumps += self._line is not None
            self._line = _Line(stamp_ns, arrival_ns)
            placed = arrival_ns
        self._last_stamp_ns = stamp_ns
        return min(placed, arrival_ns)


class CaptureClock:
    """Capture times of one stream, whatever its clock."""

    def __init__(self) -> None:
        self.mapper = ClockMapper()

    def to_monotonic(self, capture_ns: int, clock: str, arrival_ns: int) -> int:
        """Monotonic capture time (ns) of a frame that is stamped `capture_ns` in `clock`; see `frames.ClockName`."""
        if clock == "device":
            return self.mapper.to_monotonic(capture_ns, arrival_ns)
        return min(capture_ns, arrival_ns) if clock == "monotonic" else arrival_ns
