"""Motion: action decoding, chunk schedule, limiter, modes and watchdogs (numpy, no ROS, no clock)."""

from motion_control.action_space import ACTION_NAMES, WorkspaceBox, decode_ee_delta_position
from motion_control.controller import ArmController
from motion_control.counters import Counters, Timeouts
from motion_control.errors import (
    ActionRefusedError,
    ChunkRefusedError,
    LimitsError,
    ModeRefusedError,
    MotionControlError,
    TargetRefusedError,
)
from motion_control.feedback_watch import Feedback
from motion_control.limiter import Limiter, LimiterState, setpoints
from motion_control.limits import MotionLimits
from motion_control.modes import Mode, ModeMachine
from motion_control.output import Setpoint, jerk_limit
from motion_control.safety import SafetyLimits
from motion_control.schedule import Chunk, ChunkSchedule, interpolate
from motion_control.teleop_motion import TeleopCommand
from motion_control.watchdog import Watchdog

__all__ = [
    "ACTION_NAMES",
    "ActionRefusedError",
    "ArmController",
    "Chunk",
    "ChunkRefusedError",
    "ChunkSchedule",
    "Counters",
    "Feedback",
    "Limiter",
    "LimiterState",
    "LimitsError",
    "Mode",
    "ModeMachine",
    "ModeRefusedError",
    "MotionControlError",
    "MotionLimits",
    "SafetyLimits",
    "Setpoint",
    "TargetRefusedError",
    "TeleopCommand",
    "Timeouts",
    "Watchdog",
    "WorkspaceBox",
    "decode_ee_delta_position",
    "interpolate",
    "jerk_limit",
    "setpoints",
]
