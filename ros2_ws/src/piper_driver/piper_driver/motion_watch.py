"""Does the arm do what it is told? Tracking error and frozen feedback, from setpoints and measured angles."""

import numpy as np
from numpy.typing import NDArray
from piper_can import JointSample

from piper_driver.faults import Fault, FaultId

Array = NDArray[np.float64]

WINDOW_TICKS = 40
"""An arm may lag by 200 ms: it has to be near one of the setpoints of that time."""
FROZEN_TICKS = 20
"""100 ms."""
FROZEN_RAD = 0.01
"""So far setpoints move before a joint has to report another angle: 200 ms at 0.05 rad/s."""


class MotionWatch:
    """For one arm. Call `check` once a tick with what was sent and what was measured; `forget` after a new start."""

    def __init__(self, tracking_error_rad: float) -> None:
        self._limit_rad = tracking_error_rad
        self._recent: Array = np.empty((WINDOW_TICKS, 6))
        self._next = 0
        self._filled = False
        self._measured: Array | None = None
        self._stamp_ns = 0
        self._unchanged = np.zeros(6, dtype=np.int64)
        self._reference: Array = np.zeros(6)

    def forget(self) -> None:
        """The arm starts from another pose."""
        self._next, self._filled, self._measured = 0, False, None

    def check(self, setpoint: Array, sample: JointSample) -> Fault | None:
        """What was sent, `setpoint` (6,) rad, and the newest sample. None while the arm follows."""
        measured = sample.position_rad
        self._recent[self._next] = setpoint
        self._next = (self._next + 1) % WINDOW_TICKS
        self._filled = self._filled or self._next == 0
        if sample.stamp_ns != self._stamp_ns:
            self._stamp_ns = sample.stamp_ns
            if (fault := self._frozen(setpoint, measured)) is not None:
                return fault
        return self._tracking(measured)

    def _tracking(self, measured: Array) -> Fault | None:
        recent = self._recent if self._filled else self._recent[: self._next]
        error = np.maximum(recent.min(axis=0) - measured, measured - recent.max(axis=0))
        joint = int(error.argmax())
        if error[joint] <= self._limit_rad:
            return None
        return Fault(
            FaultId.TRACKING_ERROR,
            f"joint{joint + 1} is {error[joint]:.2f} rad away from where it was told to be in the last "
            f"{WINDOW_TICKS * 5} ms; {self._limit_rad:.2f} rad are allowed",
        )

    def _frozen(self, setpoint: Array, measured: Array) -> Fault | None:
        changed = np.ones(6, dtype=bool) if self._measured is None else measured != self._measured
        self._measured = measured
        self._unchanged = np.where(changed, 0, self._unchanged + 1)
        self._reference = np.where(changed, setpoint, self._reference)
        frozen = (self._unchanged >= FROZEN_TICKS) & (np.abs(setpoint - self._reference) > FROZEN_RAD)
        if not frozen.any():
            return None
        names = ", ".join(f"joint{i + 1}" for i in np.flatnonzero(frozen))
        return Fault(
            FaultId.FEEDBACK_FROZEN,
            f"{names} reported one and the same angle for {int(self._unchanged[frozen].min()) * 5} ms while moving",
        )
