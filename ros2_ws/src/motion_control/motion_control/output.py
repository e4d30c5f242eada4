"""The last stage before the bus: limiter, guard, smoothing; and the only place where a `Setpoint` is made.

What the limiter and the guard give is averaged over the last `SMOOTHING_TICKS` ticks, which keeps every limit of a
joint and bounds its jerk to 2 a / (SMOOTHING_TICKS dt): 500 rad/s^3 at the firmware's 5 rad/s^2 and 200 Hz. What is
sent follows 7.5 ms behind, and ends where the limiter ends. Training plays the same setpoints without the average.
"""

from math import isfinite
from typing import Final

import numpy as np
from numpy.typing import NDArray

from motion_control.arm_limiter import ArmLimiter, Floats
from motion_control.errors import TargetRefusedError
from motion_control.guard import Guard
from motion_control.limits import MotionLimits
from motion_control.modes import Mode
from motion_control.safety import SafetyLimits

Array = NDArray[np.float64]

SMOOTHING_TICKS: Final = 4
"""A power of two: the average of equal numbers is that number."""
STILL: Final = 1e-9
"""Velocity, rad/s and m/s, below which a joint stands: what rounding leaves."""
_MAKER: Final = object()


def jerk_limit(limits: MotionLimits, dt_s: float) -> Array:
    """Largest jerk (7,) of setpoints, rad/s^3 and m/s^3, as the change of acceleration in a tick over the tick."""
    jerk: Array = 2.0 * limits.acceleration / (SMOOTHING_TICKS * dt_s)
    return jerk


class Setpoint:
    """What goes to the arm in one tick: the only thing that a writer of the bus takes.

    `position` (7,) and `velocity` (7,), rad and m; `mode` it was made in; `send`: whether it goes out at all. Only
    `MotionOutput` can make one, so none exists that has not passed limiter, guard and smoothing.
    """

    __slots__ = ("mode", "position", "send", "velocity")

    def __init__(self, maker: object, position: Array, velocity: Array, mode: Mode, send: bool) -> None:
        if maker is not _MAKER:
            raise TypeError("a Setpoint comes from MotionOutput alone: give the arm targets through ArmController")
        self.position, self.velocity, self.mode, self.send = position, velocity, mode, send


class MotionOutput:
    """Moves one arm's setpoint, tick by tick, in answer to one of `toward`, `at_velocity` and `brake`."""

    def __init__(self, limits: MotionLimits, safety: SafetyLimits, dt_s: float, start: Array) -> None:
        if not (np.isfinite(dt_s) and dt_s > 0.0):
            raise TargetRefusedError(f"the period must be above zero seconds; got {dt_s}")
        self._limiter = ArmLimiter(limits, dt_s)
        self._guard = Guard(safety, self._limiter)
        self._dt_s = dt_s
        self.restart(start)

    def restart(self, position: Array) -> None:
        """Stand still at the measured `position` (7,), rad and m."""
        self._q: Floats = np.asarray(position, dtype=np.float64).tolist()
        self._v: Floats = [0.0] * 7
        self._last = np.array(self._q + self._v)
        self._pairs = [self._last + self._last] * (SMOOTHING_TICKS - 1)
        self._ticks_to_smooth = 0
        self._guard.forget()
        self.limited = False
        self._publish()

    @property
    def position(self) -> Array:
        """Commanded position (7,) before smoothing, rad and m: where motion goes on from."""
        return np.array(self._q)

    @property
    def velocity(self) -> Array:
        """Commanded velocity (7,) before smoothing, rad/s and m/s."""
        return np.array(self._v)

    @property
    def at_rest(self) -> bool:
        """Whether the setpoint stands still and nothing is left to smooth."""
        return not self._ticks_to_smooth

    @property
    def held_back_by(self) -> str:
        """What the guard slowed the last tick for; empty if nothing."""
        return self._guard.reason

    def toward(self, target: Array) -> None:
        """One tick toward `target` (7,). Raises TargetRefusedError, and does nothing, if it is not finite."""
        goal = target.tolist()
        if len(goal) != 7 or not all(map(isfinite, goal)):
            raise TargetRefusedError(f"a target is 7 finite numbers; got {target}; the setpoint was not moved")
        self._advance(self._limiter.toward(self._q, self._v, goal))

    def at_velocity(self, wanted: Floats) -> None:
        """One tick at the velocity `wanted` (7,), rad/s and m/s, as far as the limits allow."""
        self._advance(self._limiter.at_velocity(self._q, self._v, wanted))

    def brake(self) -> None:
        """One tick of braking as hard as the acceleration limits allow."""
        self._guard.braked()
        self._move(self._limiter.brake(self._v))

    def setpoint(self, mode: Mode, send: bool) -> Setpoint:
        """What goes to the arm now."""
        return Setpoint(_MAKER, self._sent, self._sent_velocity, mode, send)

    def _advance(self, wanted: Floats) -> None:
        self._move(self._guard.steer(self._q, self._v, wanted))

    def _move(self, velocity: Floats) -> None:
        limiter = self._limiter
        self.limited = bool(self._guard.reason)
        if not self.limited:
            for new, old, top, step in zip(velocity, self._v, limiter.top_speed, limiter.max_step, strict=True):
                if abs(new) >= top or abs(new - old) >= step * (1.0 - 1e-9):
                    self.limited = True
                    break
        self._q = limiter.advance(self._q, [v * self._dt_s for v in velocity])
        self._v = velocity
        if any(velocity):
            self._publish()
            if max(velocity) > STILL or min(velocity) < -STILL:
                self._ticks_to_smooth = SMOOTHING_TICKS
        elif self._ticks_to_smooth:
            self._publish()
        self._ticks_to_smooth = max(self._ticks_to_smooth - 1, 0)

    def _publish(self) -> None:
        newest = np.array(self._q + self._v)
        self._pairs = [*self._pairs[1:], self._last + newest]
        self._last = newest
        mean = (self._pairs[0] + self._pairs[-1]) * (1.0 / SMOOTHING_TICKS)
        mean.setflags(write=False)
        self._sent, self._sent_velocity = mean[:7], mean[7:]
