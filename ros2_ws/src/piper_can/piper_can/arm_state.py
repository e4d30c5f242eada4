"""Feedback frames of the arm put together into samples that never mix two cycles.

The arm reports its joints in three frames and its motors in six. A sample is made only of frames that arrived within
half a feedback period of each other; every sample is frozen, and so are its arrays.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from piper_can import codec

MAX_SKEW_NS: Final = 2_500_000
"""Half of the 5 ms feedback period: frames further apart belong to different cycles."""

_NEVER_NS: Final = -(1 << 62)
_MOTOR_FAULTS: Final = (
    "Undervoltage",
    "MotorOverheated",
    "Overcurrent",
    "DriverOverheated",
    "Collision",
    "DriverError",
    "Stalled",
)
_GRIPPER_FAULTS: Final = (
    "Undervoltage",
    "MotorOverheated",
    "Overcurrent",
    "DriverOverheated",
    "SensorError",
    "DriverError",
)


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
    """Monotonic time of the poll that completed the sample."""
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
    """0 P, 1 J, 2 L, 3 C, 4 MIT."""
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


class _Cycle:
    """Frames with the given ids, gathered until one of each lies within `MAX_SKEW_NS`."""

    def __init__(self, frame_ids: Sequence[int]) -> None:
        self._frame_ids = tuple(frame_ids)
        self._frames: dict[int, tuple[dict[str, float], int]] = {}

    def add(self, frame_id: int, values: dict[str, float], bus_ns: int) -> tuple[list[dict[str, float]], int] | None:
        """Values in the order of the ids and their skew once the cycle is whole, else None."""
        if frame_id in self._frames:
            self._frames.clear()  # the next cycle began before this one was whole
        self._frames = {i: f for i, f in self._frames.items() if 0 <= bus_ns - f[1] <= MAX_SKEW_NS}
        self._frames[frame_id] = (values, bus_ns)
        if len(self._frames) < len(self._frame_ids):
            return None
        frames, self._frames = self._frames, {}
        return [frames[i][0] for i in self._frame_ids], bus_ns - min(f[1] for f in frames.values())


class ArmStateAssembler:
    """Takes feedback frames one by one and holds the latest whole samples. Pure logic; not thread-safe."""

    def __init__(self) -> None:
        self._joint_cycle = _Cycle(codec.JOINT_FEEDBACK)
        self._motor_cycle = _Cycle(codec.MOTOR_FAST)
        self._joints: JointSample | None = None
        self._motors: MotorSample | None = None
        self._gripper: GripperSample | None = None
        self._status: StatusSample | None = None
        self._enabled = [False] * 6
        self._slow_stamps_ns = [_NEVER_NS] * 6
        self._motor_faults: list[tuple[str, ...]] = [()] * 6
        self._handlers = {
            codec.ARM_STATUS: self._on_status,
            codec.GRIPPER_FEEDBACK: self._on_gripper,
            **dict.fromkeys(codec.JOINT_FEEDBACK, self._on_joints),
            **dict.fromkeys(codec.MOTOR_FAST, self._on_motor_fast),
            **dict.fromkeys(codec.MOTOR_SLOW, self._on_motor_slow),
        }

    def feed(self, frame_id: int, data: bytes | bytearray, bus_ns: int, now_ns: int) -> bool:
        """Takes one frame; False if its id carries no state of the arm.

        `bus_ns` is when the bus delivered it (any epoch; only differences count), `now_ns` the monotonic time now.
        Raises `BadFrameError` for a state frame that cannot be decoded.
        """
        handler = self._handlers.get(frame_id)
        if handler is None:
            return False
        handler(frame_id, codec.decode(frame_id, data), bus_ns, now_ns)
        return True

    def state(self, now_ns: int) -> ArmState:
        """The latest samples as one frozen object."""
        enabled = np.array(self._enabled)
        enabled.setflags(write=False)
        oldest_ns = min(self._slow_stamps_ns)
        return ArmState(
            now_ns=now_ns,
            joints=self._joints,
            motors=self._motors,
            gripper=self._gripper,
            status=self._status,
            enabled=enabled,
            enabled_age_ns=None if oldest_ns == _NEVER_NS else now_ns - oldest_ns,
            motor_faults=tuple(fault for faults in self._motor_faults for fault in faults),
        )

    def _on_joints(self, frame_id: int, values: dict[str, float], bus_ns: int, now_ns: int) -> None:
        whole = self._joint_cycle.add(frame_id, values, bus_ns)
        if whole is not None:
            parts, skew_ns = whole
            angles = {name: value for part in parts for name, value in part.items()}
            self._joints = JointSample(_array([angles[name] for name in codec.JOINT_SIGNALS]), now_ns, skew_ns)

    def _on_motor_fast(self, frame_id: int, values: dict[str, float], bus_ns: int, now_ns: int) -> None:
        whole = self._motor_cycle.add(frame_id, values, bus_ns)
        if whole is not None:
            parts, skew_ns = whole
            velocity, current = ([part[name] for part in parts] for name in ("Velocity", "Current"))
            self._motors = MotorSample(_array(velocity), _array(current), now_ns, skew_ns)

    def _on_motor_slow(self, frame_id: int, values: dict[str, float], bus_ns: int, now_ns: int) -> None:
        index = codec.MOTOR_SLOW.index(frame_id)
        self._enabled[index] = bool(values["Enabled"])
        self._slow_stamps_ns[index] = now_ns
        self._motor_faults[index] = tuple(f"joint{index + 1} {name}" for name in _MOTOR_FAULTS if values[name])

    def _on_gripper(self, frame_id: int, values: dict[str, float], bus_ns: int, now_ns: int) -> None:
        self._gripper = GripperSample(
            stroke_m=values["Stroke"],
            effort_nm=values["Effort"],
            enabled=bool(values["Enabled"]),
            faults=tuple(f"gripper {name}" for name in _GRIPPER_FAULTS if values[name]),
            stamp_ns=now_ns,
        )

    def _on_status(self, frame_id: int, values: dict[str, float], bus_ns: int, now_ns: int) -> None:
        self._status = StatusSample(
            ctrl_mode=CtrlMode(int(values["CtrlMode"])),
            arm_status=ArmStatusCode(int(values["ArmStatus"])),
            move_mode=int(values["MoveMode"]),
            target_reached=values["Motion"] == 0,
            angle_limit=_bits(values["AngleLimitJoints"]),
            comm_error=_bits(values["CommErrorJoints"]),
            stamp_ns=now_ns,
        )


def _array(values: list[float]) -> NDArray[np.float64]:
    array = np.array(values, dtype=np.float64)
    array.setflags(write=False)
    return array


def _bits(value: float) -> tuple[bool, ...]:
    return tuple(bool(int(value) >> joint & 1) for joint in range(6))
