"""What the arm reports, as frozen samples: joints, motors, pose, gripper, status, and all of them together."""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray


class CtrlMode(IntEnum):
    """Who commands the arm (0x2A1 byte 0, 0x151 byte 0)."""

    STANDBY = 0
    CAN = 1
    TEACH = 2
    ETHERNET = 3
    WIFI = 4
    REMOTE = 5
    LINKAGE = 6
    OFFLINE = 7
    UNKNOWN = 255

    @classmethod
    def _missing_(cls, value: object) -> "CtrlMode":
        return cls.UNKNOWN


class ArmStatusCode(IntEnum):
    """What the arm says about itself (0x2A1 byte 1)."""

    NORMAL = 0
    EMERGENCY_STOP = 1
    NO_SOLUTION = 2
    SINGULARITY = 3
    TARGET_OVER_LIMIT = 4
    JOINT_COMMUNICATION = 5
    BRAKE_NOT_RELEASED = 6
    COLLISION = 7
    OVERSPEED_IN_TEACHING = 8
    JOINT_ABNORMAL = 9
    OTHER = 10
    TEACHING_RECORD = 11
    TEACHING_EXECUTION = 12
    TEACHING_PAUSE = 13
    MAIN_OVERHEATED = 14
    BRAKE_RESISTOR_OVERHEATED = 15
    UNKNOWN = 255

    @classmethod
    def _missing_(cls, value: object) -> "ArmStatusCode":
        return cls.UNKNOWN


@dataclass(frozen=True)
class JointSample:
    """Joint angles of one feedback cycle."""

    position_rad: NDArray[np.float64]
    """(6,), rad, in the zero of the arm's firmware."""
    stamp_ns: int
    """Monotonic time at which the frame that completed it arrived."""
    skew_ns: int
    """Time between the first and the last of its three frames on the bus."""


@dataclass(frozen=True)
class MotorSample:
    """Motor speeds and currents of one feedback cycle."""

    velocity_rad_s: NDArray[np.float64]
    """(6,), rad/s."""
    current_a: NDArray[np.float64]
    """(6,), A."""
    stamp_ns: int
    skew_ns: int


@dataclass(frozen=True)
class PoseSample:
    """Pose of the flange (link 6, not the gripper's tip) in the base frame, as the arm's own kinematics have it."""

    position_m: NDArray[np.float64]
    """(3,), m."""
    rpy_rad: NDArray[np.float64]
    """(3,), rad: R = Rz(rpy[2]) Ry(rpy[1]) Rx(rpy[0])."""
    stamp_ns: int
    skew_ns: int


@dataclass(frozen=True)
class GripperSample:
    """The gripper's feedback frame."""

    stroke_m: float
    """Opening between the fingers, m."""
    effort_nm: float
    enabled: bool
    faults: tuple[str, ...]
    stamp_ns: int


@dataclass(frozen=True)
class StatusSample:
    """The arm's status frame."""

    ctrl_mode: CtrlMode
    arm_status: ArmStatusCode
    move_mode: int
    """0 P, 1 J, 2 L, 3 C, 5 CPV; MIT is 4 before S-V1.8-8 and 6 from then on."""
    target_reached: bool
    angle_limit: tuple[bool, ...]
    """(6,): joints at their angle limit."""
    comm_error: tuple[bool, ...]
    """(6,): joints that the main controller cannot reach."""
    stamp_ns: int


@dataclass(frozen=True)
class ArmState:
    """Everything known about the arm at `now_ns`; a part that was never received is None."""

    now_ns: int
    """Monotonic time of the poll that this state belongs to."""
    joints: JointSample | None
    motors: MotorSample | None
    pose: PoseSample | None
    gripper: GripperSample | None
    status: StatusSample | None
    enabled: NDArray[np.bool_]
    """(6,): motor drivers that report torque on; False for one that never reported."""
    enabled_age_ns: int | None
    """Age of the oldest of the six reports in `enabled`; None until all six were heard."""
    motor_faults: tuple[str, ...]
    """Faults of the motor drivers, as `joint2 Overcurrent`."""

    @property
    def joint_age_ns(self) -> int | None:
        """Age of `joints`, ns; None if there are none."""
        return None if self.joints is None else self.now_ns - self.joints.stamp_ns

    @property
    def gripper_age_ns(self) -> int | None:
        """Age of `gripper`, ns; None if there is none."""
        return None if self.gripper is None else self.now_ns - self.gripper.stamp_ns

    @property
    def status_age_ns(self) -> int | None:
        """Age of `status`, ns; None if there is none."""
        return None if self.status is None else self.now_ns - self.status.stamp_ns

    @property
    def all_enabled(self) -> bool:
        """Whether all six joints report torque on."""
        return bool(self.enabled.all())
