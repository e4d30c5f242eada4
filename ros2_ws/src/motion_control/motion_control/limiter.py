"""Setpoint limiter: moves a setpoint toward a target within position, velocity and acceleration limits.

The law is the braking-distance rule (as in libfranka's position-dependent velocity limit), solved exactly for discrete
time: braking from v by A = a*dt per tick, v, v-A, v-2A, ..., r, 0, covers dt * ((n+1) r + A n(n+1)/2) with n whole
steps A in v and the rest r. The fastest v whose distance fits what is left to the target is
A * (n/2 + s/(n+1)), s = distance / (A dt), n = floor((sqrt(8 s + 1) - 1) / 2).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from motion_control.errors import TargetRefusedError
from motion_control.limits import MotionLimits

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LimiterState:
    """Commanded position (..., 7) and the velocity (..., 7) of the tick that led to it; rad and rad/s, gripper m."""

    position: Array
    velocity: Array

    @classmethod
    def at_rest(cls, position: Array) -> "LimiterState":
        """State that stands still at `position` (..., 7)."""
        start = np.array(position, dtype=np.float64)
        return cls(start, np.zeros_like(start))


class Limiter:
    """Steps setpoints of any number of arms; holds no state of its own.

    Guarantees for every step from a state that this limiter produced (or that stands still): the result is finite,
    |velocity| <= limit, |change of velocity| <= acceleration * dt, and the position stays within its limits. A state
    that stands outside the position limits is moved inside, never further out.
    """

    def __init__(self, limits: MotionLimits, dt_s: float) -> None:
        if not (np.isfinite(dt_s) and dt_s > 0.0):
            raise TargetRefusedError(f"the limiter's period must be above zero seconds; got {dt_s}")
        self.limits = limits
        self.dt_s = dt_s
        self._max_step = limits.acceleration * dt_s  # change of velocity in one tick
        self._per_distance = 1.0 / (self._max_step * dt_s)

    def step(self, state: LimiterState, target: Array) -> LimiterState:
        """One tick toward `target` (..., 7), which is first clamped to the position limits.

        Raises `TargetRefusedError` if the target has NaN or infinite values.
        """
        if not np.isfinite(target).all():
            raise TargetRefusedError(f"target has values that are not finite: {target}; the setpoint was not moved")
        limits = self.limits
        distance = np.minimum(np.maximum(target, limits.lower), limits.upper) - state.position
        s = np.abs(distance) * self._per_distance
        n = np.floor((np.sqrt(8.0 * s + 1.0) - 1.0) * 0.5)
        speed = np.minimum(self._max_step * (n * 0.5 + s / (n + 1.0)), limits.velocity)
        return self._advance(state, np.copysign(speed, distance))

    def brake(self, state: LimiterState) -> LimiterState:
        """One tick of slowing down as fast as the acceleration limit allows; at rest the position stays."""
        return self._advance(state, np.zeros_like(state.velocity))

    def _advance(self, state: LimiterState, wanted: Array) -> LimiterState:
        before = state.velocity
        velocity = np.minimum(np.maximum(wanted, before - self._max_step), before + self._max_step)
        position = state.position + velocity * self.dt_s
        # Braking ends on the limit; this takes off the last rounding. A start outside the limits only moves inwards.
        low = np.minimum(self.limits.lower, state.position)
        high = np.maximum(self.limits.upper, state.position)
        return LimiterState(np.minimum(np.maximum(position, low), high), velocity)


def setpoints(limiter: Limiter, state: LimiterState, targets: Array) -> tuple[Array, LimiterState]:
    """Play targets (..., T, 7) from `state` (..., 7); returns the setpoints (..., T, 7) and the last state."""
    positions = np.empty(np.broadcast_shapes(targets.shape, (*state.position.shape[:-1], 1, 7)))
    for tick in range(targets.shape[-2]):
        state = limiter.step(state, targets[..., tick, :])
        positions[..., tick, :] = state.position
    return positions, state
