"""The Piper arm in numbers: joints, limits, kinematics, model."""

from piper_description.joints import (
    ARM_JOINT_NAMES,
    GRIPPER_JOINT_NAME,
    GRIPPER_MAX_OPENING,
    HOME_POSITION,
    JOINT_LIMITS,
    JOINT_NAMES,
    PARK_POSITION,
    JointLimits,
)
from piper_description.kinematics import (
    R_BASE_TOOL_HOME,
    T_FLANGE_TCP,
    FirmwareZero,
    forward_kinematics,
    jacobian,
    link_transforms,
    tcp_jacobian,
    tcp_pose,
)

__all__ = [
    "ARM_JOINT_NAMES",
    "GRIPPER_JOINT_NAME",
    "GRIPPER_MAX_OPENING",
    "HOME_POSITION",
    "JOINT_LIMITS",
    "JOINT_NAMES",
    "PARK_POSITION",
    "R_BASE_TOOL_HOME",
    "T_FLANGE_TCP",
    "FirmwareZero",
    "JointLimits",
    "forward_kinematics",
    "jacobian",
    "link_transforms",
    "tcp_jacobian",
    "tcp_pose",
]
