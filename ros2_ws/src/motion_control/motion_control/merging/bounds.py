"""What every executed row keeps: a range, and a largest change from one step to the next."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from motion_control.errors import LimitsError
from motion_control.limits import MotionLimits

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class StepBounds:
    """Bounds (A,) of rows of A numbers: lower < upper, and `max_step` > 0, the largest change in one control step.

    `max_step` is velocity times the duration of a step; infinity where a number may jump, as for a gripper that is
    open or shut. Raises LimitsError for bounds that are none.
    """

    lower: Array
    upper: Array
    max_step: Array

    def __post_init__(self) -> None:
        for name in ("lower", "upper", "max_step"):
            values = np.array(getattr(self, name), dtype=np.float64)
            values.setflags(write=False)
            object.__setattr__(self, name, values)
        if not self.lower.ndim == 1 or not self.lower.shape == self.upper.shape == self.max_step.shape:
            raise LimitsError(
                f"bounds have shapes {self.lower.shape}, {self.upper.shape} and {self.max_step.shape}; expected three "
                "times (A,)"
            )
        if not (np.isfinite(self.lower).all() and np.isfinite(self.upper).all() and (self.lower < self.upper).all()):
            raise LimitsError(f"lower bounds {self.lower} must be finite and lie below upper bounds {self.upper}")
        if not (self.max_step > 0).all():
            raise LimitsError(f"max_step {self.max_step} must be above zero")

    @classmethod
    def of(cls, limits: MotionLimits, dt_s: float) -> StepBounds:
        """Bounds of joint waypoints (7,) that are `dt_s` seconds apart."""
        if not dt_s > 0:
            raise LimitsError(f"dt_s is {dt_s}; a step takes time")
        return cls(limits.lower, limits.upper, limits.velocity * dt_s)

    @property
    def width(self) -> int:
        """A, numbers in a row."""
        return len(self.lower)

    def problem(self, rows: Array) -> str | None:
        """What is wrong with rows (H, A); None if they are finite and in range. Steps may be too large."""
        if rows.ndim != 2 or rows.shape[1] != self.width or not len(rows):
            return f"rows have shape {rows.shape}; expected (H, {self.width}) with H >= 1"
        if not np.isfinite(rows).all():
            row, column = np.argwhere(~np.isfinite(rows))[0]
            return f"row {row}, number {column} is {rows[row, column]}"
        outside = np.argwhere((rows < self.lower) | (rows > self.upper))
        if len(outside):
            row, column = outside[0]
            return (
                f"row {row}, number {column} is {rows[row, column]:.6g}, outside "
                f"{self.lower[column]:g}..{self.upper[column]:g}"
            )
        return None

    def step_towards(self, before: Array, target: Array) -> Array:
        """The row (A,) nearest to `target` that may follow `before`. In range if both are."""
        change = target - before
        limited = before + np.clip(change, -self.max_step, self.max_step)
        row: Array = np.where(np.abs(change) <= self.max_step, target, limited)
        return row
