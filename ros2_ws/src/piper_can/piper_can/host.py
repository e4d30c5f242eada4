"""The host's side of the Piper protocol, for one thread: send commands, drain feedback, read frozen state."""

from collections.abc import Sequence
from typing import Final

import can
import numpy as np
from numpy.typing import NDArray

from piper_can import codec
from piper_can.arm_state import ArmState, ArmStateAssembler, CtrlMode
from piper_can.bus import to_message
from piper_can.errors import BadFrameError, BusError, ValueOutOfRangeError
from piper_can.firmware import FirmwareReply

MAX_FRAMES_A_POLL: Final = 2000
"""Bound on one poll: two thirds of a second of feedback at the arm's full 3040 frames/s."""

_ALL_JOINTS: Final = 7


class PiperHost:
    """Speaks to one arm on one bus. It starts no threads and reads no clock; use it from one thread.

    Sending raises `BusError` when the bus refuses a frame, and `ValueOutOfRangeError` before anything is sent when a
    value does not fit.
    """

    def __init__(self, bus: can.BusABC) -> None:
        self._bus = bus
        self._assembler = ArmStateAssembler()
        self._reply = FirmwareReply()
        self._firmware: str | None = None
        self._state = self._assembler.state(0)
        self._bad_frames = 0

    @property
    def state(self) -> ArmState:
        """The arm as of the last `poll`."""
        return self._state

    @property
    def firmware(self) -> str | None:
        """Firmware version, as `S-V1.8-5`; None until the arm answered `request_firmware`."""
        return self._firmware

    @property
    def bad_frames(self) -> int:
        """Received frames with a Piper feedback id that could not be decoded, and error frames of the bus."""
        return self._bad_frames

    def poll(self, now_ns: int) -> int:
        """Takes in everything received, without waiting; the number of frames taken.

        `now_ns` is the monotonic time and becomes the stamp of what arrived. Raises `BusError` if the bus is gone.
        """
        taken = 0
        while taken < MAX_FRAMES_A_POLL:
            try:
                message = self._bus.recv(0)
            except (can.CanError, OSError, ValueError) as error:
                raise BusError(f"cannot read the CAN bus: {error}; is the interface still up?") from error
            if message is None:
                break
            taken += 1
            self._take(message, now_ns)
        self._state = self._assembler.state(now_ns)
        return taken

    def _take(self, message: can.Message, now_ns: int) -> None:
        if message.is_error_frame:
            self._bad_frames += 1
            return
        if message.is_extended_id or message.is_remote_frame:
            return
        try:
            if message.arbitration_id == codec.FIRMWARE:
                self._on_firmware(message.data)
            else:
                self._assembler.feed(message.arbitration_id, message.data, round(message.timestamp * 1e9), now_ns)
        except BadFrameError:
            self._bad_frames += 1

    def _on_firmware(self, data: bytearray) -> None:
        piece = codec.decode_payload(data)
        if piece != codec.FIRMWARE_REQUEST:  # some buses deliver our own request
            self._firmware = self._reply.add(piece) or self._firmware

    def send_enable(self) -> None:
        """Asks for torque on all six joints; repeat until `state.all_enabled` (the arm may ignore the first)."""
        self._send(codec.encode(codec.ENABLE_COMMAND, {"Motor": _ALL_JOINTS, "Enable": 2}))

    def send_disable(self) -> None:
        """Cuts the torque of all six joints: the arm drops."""
        self._send(codec.encode(codec.ENABLE_COMMAND, {"Motor": _ALL_JOINTS, "Enable": 1}))

    def send_motion_mode(self, speed_percent: int = 100) -> None:
        """Selects CAN control, joint targets (MOVE J), position-velocity mode, at this share of full speed, 0-100."""
        values = {"CtrlMode": CtrlMode.CAN, "MoveMode": 1, "SpeedPercent": speed_percent}
        self._send(codec.encode(codec.MODE_COMMAND, values))

    def send_joints(self, q_rad: Sequence[float] | NDArray[np.float64]) -> None:
        """Sends joint targets, shape (6,), rad; raises if one is outside the firmware's limits or not finite."""
        q = np.asarray(q_rad, dtype=np.float64)
        if q.shape != (6,):
            raise ValueOutOfRangeError(f"joint targets have shape {q.shape}; expected (6,): joint1..joint6 in rad")
        self._send(*codec.encode_joint_targets(q.tolist()))

    def send_gripper(self, opening_m: float, effort_nm: float) -> None:
        """Sends the gripper's opening, m, and the torque it may use, 0-5 N·m, with its enable bit set."""
        values = {"Stroke": float(opening_m), "Effort": float(effort_nm), "Enable": 1}
        self._send(codec.encode(codec.GRIPPER_COMMAND, values))

    def send_stop(self) -> None:
        """Stops the arm: it sinks slowly under damping and takes no targets until it is reset."""
        self._send(codec.encode(codec.STOP_COMMAND, {"Stop": 1}))

    def send_reset_drops_arm(self) -> None:
        """Clears the arm's errors and cuts its torque at once: THE ARM DROPS. Support it first."""
        self._send(codec.encode(codec.STOP_COMMAND, {"Stop": 2}))

    def request_firmware(self) -> None:
        """Asks for the firmware version; `firmware` has it a few polls later."""
        self._reply.clear()
        self._send(codec.encode_payload(codec.FIRMWARE_REQUEST))

    def _send(self, *frames: codec.Frame) -> None:
        try:
            for frame in frames:
                self._bus.send(to_message(frame.frame_id, frame.data))
        except (can.CanError, OSError, ValueError) as error:
            ids = ", ".join(f"0x{frame.frame_id:03X}" for frame in frames)
            raise BusError(
                f"cannot send CAN frames {ids}: {error}; "
                "is the arm powered and its cable connected, and is the interface up?"
            ) from error
