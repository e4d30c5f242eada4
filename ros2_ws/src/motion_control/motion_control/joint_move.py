"""A slow move from rest to a pose, with bounded jerk and all joints arriving together (Ruckig)."""

import numpy as np
from numpy.typing import NDArray
from ruckig import InputParameter, Result, Ruckig, Trajectory

from motion_control.errors import TargetRefusedError
from motion_control.limits import MotionLimits
from motion_control.output import MotionOutput

Array = NDArray[np.float64]

SPEED_SHARE = 0.2
"""Of the velocity limits."""
ACCELERATION_SHARE = 0.5
"""Of the acceleration limits: the limiter behind follows with nothing to cut."""
JERK_TIME_S = 0.1
"""Time in which the acceleration is built up."""
GIVE_UP_NS = 1_000_000_000
"""So long after its planned end a move that came to rest elsewhere is over: the guard was in its way."""


class JointMove:
    """From `start` to `goal` (7,), rad and m. Raises TargetRefusedError if there is no such move."""

    def __init__(self, start: Array, goal: Array, limits: MotionLimits, begin_ns: int) -> None:
        wanted = InputParameter(7)
        wanted.current_position = start.tolist()
        wanted.target_position = np.clip(goal, limits.lower, limits.upper).tolist()
        acceleration = limits.acceleration * ACCELERATION_SHARE
        wanted.max_velocity = (limits.velocity * SPEED_SHARE).tolist()
        wanted.max_acceleration = acceleration.tolist()
        wanted.max_jerk = (acceleration / JERK_TIME_S).tolist()
        self._trajectory = Trajectory(7)
        result = Ruckig(7).calculate(wanted, self._trajectory)
        if result not in (Result.Working, Result.Finished):
            raise TargetRefusedError(f"no move from {start} to {goal}: {result}")
        self._begin_ns = begin_ns
        self._end_ns = begin_ns + int(self._trajectory.duration * 1e9)
        self._goal = np.array(wanted.target_position)

    def move(self, now_ns: int, output: MotionOutput) -> str | None:
        """One tick; returns None while it goes on, "" at the goal, else what kept the arm from it."""
        passed_s = max(now_ns - self._begin_ns, 0) / 1e9
        target = self._goal if now_ns >= self._end_ns else np.array(self._trajectory.at_time(passed_s)[0])
        output.toward(target)
        if now_ns < self._end_ns or not output.at_rest:
            return None
        if np.abs(output.position - self._goal).max() < 1e-6:
            return ""
        if now_ns > self._end_ns + GIVE_UP_NS:
            return output.held_back_by or "the limits"
        return None
