"""Setpoint limiter: moves a setpoint toward a target within position, velocity and acceleration limits.

For any number of arms at once, as training needs it; `ArmLimiter` is the same law for the one arm of a driver, where
`MotionOutput` puts guard and smoothing behind it.

The law is the braking-distance rule (as in libfranka's position-dependent velocity limit), solved exactly for discrete
time: braking from v by A = a*dt per tick, v, v-A, v-2A, ..., r, 0, covers dt * ((n+1) r + A n(n+1)/2) with n whole
steps A in v and the rest r. The fastest v whose distance fits what is left to the target is
A * (n/2 + s/(n+1)), s = distance / (A dt), n = floor((sqrt(8 s + 1) - 1) / 2).
"""

from dataclasses import dataclass
from typing import NamedTuple

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


class _Rules(NamedTuple):
    """What holds for each joint, (7,) or spread over the shape of the setpoints."""

    lower: Array
    upper: Array
    velocity: Array
    max_step: Array
    per_distance: Array


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
        max_step = limits.acceleration * dt_s  # change of velocity in one tick
        self._rules = _Rules(limits.lower, limits.upper, limits.velocity, max_step, 1.0 / (max_step * dt_s))

    def step(self, state: LimiterState, target: Array) -> LimiterState:
        """One tick toward `target` (..., 7), which is first clamped to the position limits.

        Raises `TargetRefusedError` if the target has NaN or infinite values.
        """
        target = self._clamped(target)
        position, velocity, work = _room(state, target.shape)
        self._toward(position, velocity, target, self._rules, work)
        return LimiterState(position, velocity)

    def _clamped(self, target: Array) -> Array:
        if not np.isfinite(target).all():
            raise TargetRefusedError(f"target has values that are not finite: {target}; the setpoint was not moved")
        return np.minimum(np.maximum(target, self.limits.lower), self.limits.upper)

    # One tick in place: training takes hundreds of them a chunk, and temporary arrays would be half of the work.
    # `work` (4, ...) is room for four arrays like `position`.

    def _toward(self, position: Array, velocity: Array, target: Array, rules: _Rules, work: Array) -> None:
        wanted, s, n, t = work
        distance = np.subtract(target, position, out=wanted)
        np.multiply(np.abs(distance, out=s), rules.per_distance, out=s)
        np.add(np.multiply(s, 8.0, out=n), 1.0, out=n)
        np.floor(np.multiply(np.subtract(np.sqrt(n, out=n), 1.0, out=n), 0.5, out=n), out=n)
        np.divide(s, np.add(n, 1.0, out=t), out=s)
        np.multiply(np.add(np.multiply(n, 0.5, out=n), s, out=n), rules.max_step, out=n)
        speed = np.minimum(n, rules.velocity, out=n)
        np.copysign(speed, distance, out=wanted)
        self._advance(position, velocity, rules, work)

    def _advance(self, position: Array, velocity: Array, rules: _Rules, work: Array) -> None:
        """One tick at the velocity `work[0]`, as far as the acceleration allows."""
        wanted, s, low, high = work
        np.maximum(wanted, np.subtract(velocity, rules.max_step, out=s), out=wanted)
        np.minimum(wanted, np.add(velocity, rules.max_step, out=s), out=velocity)
        # Braking ends on the limit; this takes off the last rounding. A start outside the limits only moves inwards.
        np.minimum(rules.lower, position, out=low)
        np.maximum(rules.upper, position, out=high)
        np.add(position, np.multiply(velocity, self.dt_s, out=s), out=s)
        np.minimum(np.maximum(s, low, out=s), high, out=position)


def setpoints(limiter: Limiter, state: LimiterState, targets: Array) -> tuple[Array, LimiterState]:
    """Play targets (..., T, 7) from `state` (..., 7); returns the setpoints (..., T, 7) and the last state."""
    each = np.ascontiguousarray(np.moveaxis(limiter._clamped(targets), -2, 0))
    position, velocity, work = _room(state, each.shape[1:])
    positions = np.empty((len(each), *position.shape))
    rules = _Rules(*(_spread(rule, position.shape) for rule in limiter._rules))  # faster than to broadcast every time
    for tick, target in enumerate(each):
        limiter._toward(position, velocity, target, rules, work)
        positions[tick] = position
    return np.moveaxis(positions, 0, -2), LimiterState(position, velocity)


def _room(state: LimiterState, target: tuple[int, ...]) -> tuple[Array, Array, Array]:
    """Copies of a state's position and velocity, as large as targets of this shape need them, and room to work."""
    shape = state.position.shape
    if shape == target:
        return state.position.copy(), state.velocity.copy(), np.empty((4, *shape))
    shape = np.broadcast_shapes(shape, target)
    return _spread(state.position, shape), _spread(state.velocity, shape), np.empty((4, *shape))


def _spread(values: Array, shape: tuple[int, ...]) -> Array:
    return np.array(np.broadcast_to(values, shape), order="C")
