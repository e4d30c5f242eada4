"""What the arm reports, and what its silence, its faults and its torque mean for the mode."""

from dataclasses import dataclass
from math import isfinite

import numpy as np
from numpy.typing import NDArray
from piper_description import JOINT_NAMES

from motion_control.errors import ModeRefusedError
from motion_control.limits import MotionLimits
from motion_control.policy_motion import MAX_OUTSIDE_RAD
from motion_control.watchdog import Watchdog

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Feedback:
    """What the arm reported: measured `position` (7,), rad and m, its monotonic time, its torque and its faults."""

    position: Array
    stamp_ns: int
    torque_on: bool
    fault: str | None = None


class FeedbackWatch:
    """Keeps the newest feedback; feedback that is not finite counts as none."""

    def __init__(self, hold_ns: int, fault_ns: int) -> None:
        self.newest: Feedback | None = None
        self._hold = Watchdog(hold_ns)
        self._fault = Watchdog(fault_ns)

    @property
    def torque_on(self) -> bool:
        """Whether the arm reported torque on all joints."""
        return self.newest is not None and self.newest.torque_on

    def take(self, feedback: Feedback | None) -> None:
        """What the arm sent last; None if it never sent anything."""
        if feedback is None or feedback is self.newest:
            return
        if feedback.position.shape == (7,) and all(map(isfinite, feedback.position.tolist())):
            self.newest = feedback
            self._hold.feed(feedback.stamp_ns)
            self._fault.feed(feedback.stamp_ns)

    def fault(self, now_ns: int) -> str | None:
        """Why the arm is in FAULT, None if it is not."""
        if self.newest is not None and self.newest.fault is not None:
            return self.newest.fault
        if not self.torque_on:
            return "the arm reports torque off on at least one joint"
        if self._fault.expired(now_ns):
            return f"no feedback from the arm for {self._fault.age_ns(now_ns) / 1e6:.0f} ms"
        return None

    def hold(self, now_ns: int) -> str | None:
        """Why the arm may not be moved, None if it may."""
        if self._hold.expired(now_ns):
            return f"no feedback from the arm for {self._hold.age_ns(now_ns) / 1e6:.0f} ms"
        return None

    def fresh(self, request: str, now_ns: int) -> Feedback:
        """The newest feedback. Raises ModeRefusedError, naming `request`, if it is old or reports a fault."""
        feedback = self.newest
        if feedback is None or self._hold.expired(now_ns):
            raise ModeRefusedError(f"'{request}' needs fresh feedback; the arm sends none: check power and CAN")
        if feedback.fault is not None:
            raise ModeRefusedError(f"'{request}' is refused while the arm reports: {feedback.fault}")
        return feedback


def check_pose(request: str, feedback: Feedback, limits: MotionLimits) -> None:
    """Raise ModeRefusedError, naming `request`, if the measured pose cannot be this arm's."""
    outside = limits.outside(feedback.position)
    if (outside > MAX_OUTSIDE_RAD).any():
        worst = int(outside.argmax())
        raise ModeRefusedError(
            f"'{request}' is refused: {JOINT_NAMES[worst]} is measured {outside[worst]:.2f} outside its limits; "
            "check the joint zero and the firmware version"
        )
