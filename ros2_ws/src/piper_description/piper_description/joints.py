"""Joint names, order and limits of the Piper arm and its parallel gripper.

Every array of seven in this project is in the order of `JOINT_NAMES`: six joint angles in radians, then the gripper
opening in metres (distance between the fingers).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

ARM_JOINT_NAMES: Final = ("joint1", "joint2", "joint3", "joint4", "joint5", "joint6")
GRIPPER_JOINT_NAME: Final = "gripper"
JOINT_NAMES: Final = (*ARM_JOINT_NAMES, GRIPPER_JOINT_NAME)

GRIPPER_MAX_OPENING: Final = 0.07
"""Opening of the stock gripper, metres (the V1 stroke; a V2 gripper opens to 0.1 m)."""


@dataclass(frozen=True)
class JointLimits:
    """Limits of the six joints and the gripper; every array has shape (7,)."""

    lower: NDArray[np.float64]
    """Lowest position, rad (gripper: m)."""
    upper: NDArray[np.float64]
    """Highest position, rad (gripper: m)."""
    velocity: NDArray[np.float64]
    """Highest speed, rad/s (gripper: m/s)."""
    acceleration: NDArray[np.float64]
    """Highest acceleration, rad/s^2 (gripper: m/s^2)."""


def _frozen(values: list[float]) -> NDArray[np.float64]:
    array = np.array(values, dtype=np.float64)
    array.setflags(write=False)
    return array


_LOWER_DEG = [-150.0, 0.0, -170.0, -100.0, -70.0, -120.0]
_UPPER_DEG = [150.0, 180.0, 0.0, 100.0, 70.0, 120.0]

JOINT_LIMITS: Final = JointLimits(
    lower=_frozen([*np.radians(_LOWER_DEG), 0.0]),
    upper=_frozen([*np.radians(_UPPER_DEG), GRIPPER_MAX_OPENING]),
    velocity=_frozen([3.0] * 6 + [0.25]),
    acceleration=_frozen([5.0] * 6 + [2.0]),
)
"""The firmware's limits: positions from the vendor SDK, 3 rad/s and 5 rad/s^2 its defaults (frames 0x474 and 0x475)."""

HOME_POSITION: Final = _frozen([0.0, 1.2733, -0.9342, 0.0, 0.9699, 0.0, GRIPPER_MAX_OPENING])
"""Pose from which the arm works a table in front of it, rad and m: the tool centre point at (0.28, 0, 0.15) m, the tool
20 degrees off the vertical, the gripper open. Joint 5 ends at 70 degrees, so a tool that points straight down only
reaches the lowest 10 cm; at 30 degrees the wrist gets singular (joint 5 at zero) near the table."""

PARK_POSITION: Final = _frozen([0.0, 0.02, -0.02, 0.0, 0.0, 0.0, 0.0])
"""Pose in which the arm lies folded on itself and stays when the torque goes, rad and m; the gripper shut."""
