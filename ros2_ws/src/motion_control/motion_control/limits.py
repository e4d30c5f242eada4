"""Limits within which every setpoint stays."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from piper_description import JOINT_LIMITS, JOINT_NAMES

from motion_control.errors import LimitsError

Array = NDArray[np.float64]

POSITION_MARGIN_RAD = 0.01
"""Distance that the joints keep from the firmware's own position limits; the gripper uses its full stroke."""


@dataclass(frozen=True)
class MotionLimits:
    """Position, velocity and acceleration limits, each of shape (7,): rad, rad/s, rad/s^2; gripper m, m/s, m/s^2."""

    lower: Array
    upper: Array
    velocity: Array
    acceleration: Array

    def __post_init__(self) -> None:
        for name in ("lower", "upper", "velocity", "acceleration"):
            values = np.array(getattr(self, name), dtype=np.float64)
            if values.shape != (len(JOINT_NAMES),) or not np.isfinite(values).all():
                raise LimitsError(
                    f"limit '{name}' must be {len(JOINT_NAMES)} finite numbers ({', '.join(JOINT_NAMES)}); got {values}"
                )
            values.setflags(write=False)
            object.__setattr__(self, name, values)
        if not (self.lower < self.upper).all():
            raise LimitsError(f"lower limits {self.lower} must lie below upper limits {self.upper}")
        if not ((self.velocity > 0.0).all() and (self.acceleration > 0.0).all()):
            raise LimitsError("velocity and acceleration limits must be above zero")

    @classmethod
    def default(cls, margin_rad: float = POSITION_MARGIN_RAD) -> "MotionLimits":
        """Limits of the Piper's firmware, the joints' position range reduced by `margin_rad` at both ends."""
        margin = np.array([margin_rad] * 6 + [0.0])
        return cls(
            lower=JOINT_LIMITS.lower + margin,
            upper=JOINT_LIMITS.upper - margin,
            velocity=JOINT_LIMITS.velocity,
            acceleration=JOINT_LIMITS.acceleration,
        )

    def outside(self, position: Array) -> Array:
        """How far each position lies outside its limits, >= 0, same shape (..., 7) and unit as `position`."""
        distance: Array = np.maximum(np.maximum(self.lower - position, position - self.upper), 0.0)
        return distance
