"""What the arm does while a person has authority: it follows the newest command as long as commands keep coming."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from piper_description import JOINT_NAMES

from motion_control.errors import TargetRefusedError
from motion_control.limits import MotionLimits
from motion_control.output import MotionOutput
from motion_control.policy_motion import CLOCK_TOLERANCE_NS, MAX_OUTSIDE_RAD
from motion_control.schedule import MAX_START_DISTANCE_RAD, start_distance
from motion_control.watchdog import Watchdog

Array = NDArray[np.float64]


@dataclass(frozen=True)
class TeleopCommand:
    """Where a person wants the arm now: `position` (7,), rad and m, and when that was read, monotonic nanoseconds.

    Raises TargetRefusedError for a wrong shape and for values that are not finite.
    """

    stamp_ns: int
    position: Array

    def __post_init__(self) -> None:
        try:
            position = np.array(self.position, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise TargetRefusedError(f"a teleop command needs 7 numbers: {error}") from error
        if position.shape != (7,) or not np.isfinite(position).all():
            raise TargetRefusedError(f"a teleop command needs 7 finite numbers (rad, gripper m); got {position}")
        position.setflags(write=False)
        object.__setattr__(self, "position", position)


class TeleopMotion:
    """Follows commands; the dead man's time runs from the time at which the last good one was read."""

    def __init__(self, limits: MotionLimits, dead_man_ns: int, first_command_ns: int) -> None:
        self._limits = limits
        self._dead_man = Watchdog(dead_man_ns)
        self._first_command = Watchdog(first_command_ns)
        self._target: Array | None = None
        self._stamp_ns: int | None = None

    def begin(self, now_ns: int) -> None:
        """A person has authority from now on; the arm comes to rest until the first command."""
        self.clear()
        self._first_command.feed(now_ns)

    def clear(self) -> None:
        """Forget every command."""
        self._target, self._stamp_ns = None, None
        self._dead_man.stop()
        self._first_command.stop()

    def accept(self, command: TeleopCommand, now_ns: int, position: Array) -> None:
        """Follow `command` from the setpoint `position` (7,).

        Raises TargetRefusedError, and changes nothing, for one that is old, out of order, of another clock, far
        outside the limits or so far away that it must be a glitch of what reads the hand.
        """
        age_ns = now_ns - command.stamp_ns
        if age_ns > self._dead_man.timeout_ns or age_ns < -CLOCK_TOLERANCE_NS:
            oldest_ms = self._dead_man.timeout_ns / 1e6
            raise TargetRefusedError(
                f"the teleop command is {age_ns / 1e6:.0f} ms old; expected 0 to {oldest_ms:.0f} ms"
            )
        if self._stamp_ns is not None and command.stamp_ns <= self._stamp_ns:
            raise TargetRefusedError("the teleop command is not newer than the one that is being followed")
        outside = self._limits.outside(command.position)
        if (outside > MAX_OUTSIDE_RAD).any():
            raise TargetRefusedError(
                f"{JOINT_NAMES[int(outside.argmax())]} is asked to go {outside.max():.2f} outside its limits; "
                "expected rad and metres"
            )
        distance = start_distance(command.position, position)
        if (distance > MAX_START_DISTANCE_RAD).any():
            raise TargetRefusedError(
                f"{JOINT_NAMES[int(distance.argmax())]} is asked to jump by {distance.max():.2f} rad; at most "
                f"{MAX_START_DISTANCE_RAD} rad from its setpoint is allowed: bring the leader to the arm's pose first"
            )
        self._target, self._stamp_ns = command.position, command.stamp_ns
        self._dead_man.feed(command.stamp_ns)
        self._first_command.stop()

    def move(self, now_ns: int, output: MotionOutput) -> str | None:
        """One tick; returns why the person's authority ends, None while it goes on."""
        silent: str | None = None
        if self._first_command.expired(now_ns):
            silent = f"teleop sent no command for {self._first_command.age_ns(now_ns) / 1e9:.1f} s"
        elif self._dead_man.expired(now_ns):
            silent = f"teleop was silent for {self._dead_man.age_ns(now_ns) / 1e6:.0f} ms"
        if silent is not None or self._target is None:
            output.brake()
        else:
            output.toward(self._target)
        return silent
