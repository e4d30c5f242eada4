"""Feedback frames of the arm put together into samples that never mix two cycles.

The arm reports its joints in three frames, its pose in three and its motors in six. A sample is made only of frames
that arrived within half a feedback period of each other; every sample is frozen, and so are its arrays.
"""

import struct
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from piper_can import codec
from piper_can.errors import BadFrameError
from piper_can.samples import (
    ArmState,
    ArmStatusCode,
    CtrlMode,
    GripperSample,
    JointSample,
    MotorSample,
    PoseSample,
    StatusSample,
)
from piper_can.wire import Unpack, flag_bit, flag_names, scales, unpacker

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
_STATUS_FIELDS: Final = ("CtrlMode", "ArmStatus", "MoveMode", "Motion", "AngleLimitJoints", "CommErrorJoints")
_GRIPPER_FIELDS: Final = ("Stroke", "Effort", "Enabled")
_MOTOR_ENABLED: Final = 1 << flag_bit(codec.MOTOR_SLOW[0], "Enabled")
_GRIPPER_ENABLED: Final = 1 << flag_bit(codec.GRIPPER_FEEDBACK, "Enabled")
_STROKE_M, _EFFORT_NM, _ = scales(codec.GRIPPER_FEEDBACK, _GRIPPER_FIELDS).tolist()
_JOINT_RAD: Final = float(scales(codec.JOINT_FEEDBACK[0], ("Joint1",))[0])
_POSE_M, _POSE_RAD = scales(codec.END_POSE[1], ("Z", "RX")).tolist()
_SPEED_RAD_S, _CURRENT_A = scales(codec.MOTOR_FAST[0], ("Velocity", "Current")).tolist()
_GRIPPER_FAULT_NAMES: Final = flag_names(codec.GRIPPER_FEEDBACK, _GRIPPER_FAULTS, "gripper ")
_CTRL_MODES: Final = tuple(CtrlMode(value) for value in range(256))
_STATUS_CODES: Final = tuple(ArmStatusCode(value) for value in range(256))
_BITS: Final = tuple(tuple(bool(value >> joint & 1) for joint in range(6)) for value in range(256))

Handler = Callable[[bytes | bytearray, int, int], None]


class PairCycle:
    """Six numbers in three frames that one sender sends in the order of their ids.

    A frame out of order starts over, so that frames of two cycles cannot meet in one sample even if the bus delivers
    both cycles at once.
    """

    def __init__(self) -> None:
        self._raw: tuple[int, ...] = ()
        self._first_ns = 0

    def add(self, index: int, raw: tuple[int, ...], bus_ns: int) -> tuple[tuple[int, ...], int] | None:
        """Takes frame `index` (0 to 2) with its two numbers; all six and their skew, ns, once they are whole."""
        if index == 0:
            self._raw, self._first_ns = raw, bus_ns
            return None
        skew_ns = bus_ns - self._first_ns
        if len(self._raw) != 2 * index or not 0 <= skew_ns <= MAX_SKEW_NS:
            self._raw = ()
            return None
        self._raw += raw
        if index < 2:
            return None
        whole, self._raw = self._raw, ()
        return whole, skew_ns


class _MotorCycle:
    """One frame of each of six motors, in any order."""

    def __init__(self) -> None:
        self._raw: dict[int, tuple[int, ...]] = {}
        self._first_ns = 0

    def add(self, index: int, raw: tuple[int, ...], bus_ns: int) -> tuple[list[tuple[int, ...]], int] | None:
        """Takes the frame of motor `index` (0 to 5); all six in their order and their skew, ns, once they are whole."""
        if index in self._raw or not 0 <= bus_ns - self._first_ns <= MAX_SKEW_NS:
            self._raw.clear()  # the next cycle begins, whole or not
        if not self._raw:
            self._first_ns = bus_ns
        self._raw[index] = raw
        if len(self._raw) < 6:
            return None
        whole, self._raw = self._raw, {}
        return [whole[i] for i in range(6)], bus_ns - self._first_ns


class ArmStateAssembler:
    """Takes feedback frames one by one and holds the latest whole samples. Pure logic; not thread-safe."""

    def __init__(self) -> None:
        self._joint_cycle = PairCycle()
        self._pose_cycle = PairCycle()
        self._motor_cycle = _MotorCycle()
        self._joints: JointSample | None = None
        self._motors: MotorSample | None = None
        self._pose: PoseSample | None = None
        self._gripper: GripperSample | None = None
        self._status: StatusSample | None = None
        self._enabled = [False] * 6
        self._slow_stamps_ns = [_NEVER_NS] * 6
        self._motor_faults: list[tuple[str, ...]] = [()] * 6
        self._handlers: dict[int, Handler] = {
            codec.ARM_STATUS: self._status_handler(unpacker(codec.ARM_STATUS, _STATUS_FIELDS)),
            codec.GRIPPER_FEEDBACK: self._gripper_handler(unpacker(codec.GRIPPER_FEEDBACK, _GRIPPER_FIELDS)),
        }
        for index, frame_id in enumerate(codec.JOINT_FEEDBACK):
            names = codec.JOINT_SIGNALS[2 * index : 2 * index + 2]
            self._handlers[frame_id] = self._joint_handler(index, unpacker(frame_id, names))
        for index, frame_id in enumerate(codec.END_POSE):
            names = codec.END_POSE_SIGNALS[2 * index : 2 * index + 2]
            self._handlers[frame_id] = self._pose_handler(index, unpacker(frame_id, names))
        for index, frame_id in enumerate(codec.MOTOR_FAST):
            self._handlers[frame_id] = self._fast_handler(index, unpacker(frame_id, ("Velocity", "Current")))
        for index, frame_id in enumerate(codec.MOTOR_SLOW):
            self._handlers[frame_id] = self._slow_handler(index, unpacker(frame_id, ("Enabled",)))

    def feed(self, frame_id: int, data: bytes | bytearray, bus_ns: int, now_ns: int) -> bool:
        """Takes one frame; False if its id carries no state of the arm.

        `bus_ns` is when the bus delivered it (any epoch; only differences count), `now_ns` the monotonic time of its
        arrival. Raises `BadFrameError` for a state frame that cannot be decoded.
        """
        handler = self._handlers.get(frame_id)
        if handler is None:
            return False
        try:
            handler(data, bus_ns, now_ns)
        except struct.error:
            raise BadFrameError(codec.wrong_length(frame_id, data)) from None
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
            pose=self._pose,
            gripper=self._gripper,
            status=self._status,
            enabled=enabled,
            enabled_age_ns=None if oldest_ns == _NEVER_NS else now_ns - oldest_ns,
            motor_faults=tuple(fault for faults in self._motor_faults for fault in faults),
        )

    def _joint_handler(self, index: int, unpack: Unpack) -> Handler:
        add = self._joint_cycle.add

        def handle(data: bytes | bytearray, bus_ns: int, now_ns: int) -> None:
            whole = add(index, unpack(data), bus_ns)
            if whole is not None:
                raw, skew_ns = whole
                self._joints = JointSample(joint_angles(raw), now_ns, skew_ns)

        return handle

    def _pose_handler(self, index: int, unpack: Unpack) -> Handler:
        add = self._pose_cycle.add

        def handle(data: bytes | bytearray, bus_ns: int, now_ns: int) -> None:
            whole = add(index, unpack(data), bus_ns)
            if whole is not None:
                raw, skew_ns = whole
                position, rpy = _frozen(raw[:3], _POSE_M), _frozen(raw[3:], _POSE_RAD)
                self._pose = PoseSample(position, rpy, now_ns, skew_ns)

        return handle

    def _fast_handler(self, index: int, unpack: Unpack) -> Handler:
        add = self._motor_cycle.add

        def handle(data: bytes | bytearray, bus_ns: int, now_ns: int) -> None:
            whole = add(index, unpack(data), bus_ns)
            if whole is not None:
                raw, skew_ns = whole
                velocity, current = zip(*raw, strict=True)
                speeds, currents = _frozen(velocity, _SPEED_RAD_S), _frozen(current, _CURRENT_A)
                self._motors = MotorSample(speeds, currents, now_ns, skew_ns)

        return handle

    def _slow_handler(self, index: int, unpack: Unpack) -> Handler:
        names = flag_names(codec.MOTOR_SLOW[index], _MOTOR_FAULTS, f"joint{index + 1} ")

        def handle(data: bytes | bytearray, _bus_ns: int, now_ns: int) -> None:
            (flags,) = unpack(data)
            self._enabled[index] = flags & _MOTOR_ENABLED != 0
            self._slow_stamps_ns[index] = now_ns
            self._motor_faults[index] = names[flags]

        return handle

    def _gripper_handler(self, unpack: Unpack) -> Handler:
        def handle(data: bytes | bytearray, _bus_ns: int, now_ns: int) -> None:
            stroke, effort, flags = unpack(data)
            self._gripper = GripperSample(
                stroke_m=stroke * _STROKE_M,
                effort_nm=effort * _EFFORT_NM,
                enabled=flags & _GRIPPER_ENABLED != 0,
                faults=_GRIPPER_FAULT_NAMES[flags],
                stamp_ns=now_ns,
            )

        return handle

    def _status_handler(self, unpack: Unpack) -> Handler:
        def handle(data: bytes | bytearray, _bus_ns: int, now_ns: int) -> None:
            ctrl_mode, arm_status, move_mode, motion, angle_limit, comm_error = unpack(data)
            self._status = StatusSample(
                ctrl_mode=_CTRL_MODES[ctrl_mode],
                arm_status=_STATUS_CODES[arm_status],
                move_mode=move_mode,
                target_reached=motion == 0,
                angle_limit=_BITS[angle_limit],
                comm_error=_BITS[comm_error],
                stamp_ns=now_ns,
            )

        return handle


def joint_angles(raw: tuple[int, ...]) -> NDArray[np.float64]:
    """Raw joint angles of the wire (6,) as a frozen array in rad."""
    return _frozen(raw, _JOINT_RAD)


def _frozen(raw: tuple[int, ...], scale: float) -> NDArray[np.float64]:
    array = np.array(raw, dtype=np.float64)
    array *= scale
    array.setflags(write=False)
    return array
