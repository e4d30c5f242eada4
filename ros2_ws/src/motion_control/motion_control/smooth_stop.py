"""The stop with the least jerk: from a velocity to rest.

Among all ways to bring the velocity v0 with no acceleration to rest in the time T, v0 (1 - 3 s^2 + 2 s^3) with s = t/T
has the least integral of squared jerk (Flash and Hogan 1985, with a free end position). Its largest deceleration is
1.5 v0 / T.
"""

from motion_control.arm_limiter import Floats
from motion_control.limits import MotionLimits

ACCELERATION_SHARE = 0.9
"""Of the acceleration limit, at most, in a stop that has time."""


class SmoothStop:
    """Velocities from `velocity` (7,), rad/s and m/s, at `begin_ns` to rest; all joints keep their ratio."""

    def __init__(self, velocity: Floats, limits: MotionLimits, begin_ns: int) -> None:
        self._velocity = velocity
        self._begin_ns = begin_ns
        longest_s = max(abs(v) / a for v, a in zip(velocity, limits.acceleration.tolist(), strict=True))
        self._duration_ns = 1.5e9 * longest_s / ACCELERATION_SHARE

    def velocity(self, now_ns: int) -> Floats:
        """Velocities (7,) at `now_ns`, zero once the stop is over."""
        passed_ns = now_ns - self._begin_ns
        if passed_ns >= self._duration_ns:
            return [0.0] * 7
        s = passed_ns / self._duration_ns
        share = 1.0 - s * s * (3.0 - 2.0 * s)
        return [v * share for v in self._velocity]
