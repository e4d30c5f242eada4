"""The host's side of the Piper protocol, for one thread: send commands, drain feedback, read frozen state."""

from collections.abc import Callable, Sequence
from typing import Final

import can
import numpy as np
from numpy.typing import NDArray

from piper_can import codec
from piper_can.arm_state import ArmStateAssembler
from piper_can.bus import hears_itself, to_message
from piper_can.command_watch import CommandWatch
from piper_can.errors import BadFrameError, BusError, ValueOutOfRangeError
from piper_can.firmware import FirmwareReply
from piper_can.mit import MitTarget, encode_mit
from piper_can.samples import ArmState, CtrlMode
from piper_can.settings import REPLIES, FirmwareLimits, SettingsReader
from piper_can.variants import FirmwareVariant, variant_of

MAX_FRAMES_A_POLL: Final = 2000
"""Bound on one poll: two thirds of a second of feedback at the arm's full 3040 frames/s."""

_ALL_JOINTS: Final = 7
_FOLLOWER: Final = 0xFC
_BUS_OFF, _RESTARTED = 0x040, 0x100  # classes of error frames, linux/can/error.h
_UNKNOWN_IDS_KEPT: Final = 32


class PiperHost:
    """Speaks to one arm on one bus. It starts no threads; use it from one thread.

    Sending raises `BusError` when the bus refuses a frame, and `ValueOutOfRangeError` before anything is sent when a
    value does not fit. Settings, firmware and commands of others are in `settings`, `firmware` and `others`.
    """

    def __init__(self, bus: can.BusABC, wall_clock_ns: Callable[[], int] | None = None) -> None:
        """`wall_clock_ns` is the clock that the bus stamps frames with (`time.time_ns`).

        With it, samples carry the age of their frames even if they waited in the socket; the clock may jump: it never
        makes a frame older than the poll before. Without, frames count as arrived at the poll that took them in.
        """
        self.others = CommandWatch(hears_itself(bus))
        self.settings = SettingsReader()
        self._bus = bus
        self._wall_clock_ns = wall_clock_ns
        self._assembler = ArmStateAssembler()
        self._reply = FirmwareReply()
        self._firmware: str | None = None
        self._state = self._assembler.state(0)
        self._polled_ns: int | None = None
        self._bad_frames = 0
        self._bus_off = False
        self._unknown_ids: set[int] = set()

    @property
    def state(self) -> ArmState:
        """The arm as of the last `poll`."""
        return self._state

    @property
    def firmware(self) -> str | None:
        """Firmware version, as `S-V1.8-5`; None until the arm answered `request_firmware`."""
        return self._firmware

    @property
    def variant(self) -> FirmwareVariant | None:
        """How the arm's firmware understands frames; None until `firmware` is known.

        Raises `FirmwareVersionError`, which says what to do, if this firmware is not known.
        """
        return None if self._firmware is None else variant_of(self._firmware)

    @property
    def limits(self) -> FirmwareLimits | None:
        """The firmware's joint limits; None until the answers to `request_limits` and `request_firmware` are in."""
        variant = self.variant
        return None if variant is None else self.settings.limits(variant)

    @property
    def bad_frames(self) -> int:
        """Received frames with a Piper id that could not be decoded, and error frames of the bus."""
        return self._bad_frames

    @property
    def bus_off(self) -> bool:
        """Whether the CAN controller has left the bus: it said so and was not heard to be back."""
        return self._bus_off

    @property
    def unknown_ids(self) -> frozenset[int]:
        """Ids of received frames that are not in the protocol, the first 32: an arm with offset ids, another device."""
        return frozenset(self._unknown_ids)

    def poll(self, now_ns: int) -> int:
        """Takes in everything received, without waiting; the number of frames taken.

        `now_ns` is the monotonic time. Raises `BusError` if the bus is gone.
        """
        taken = 0
        wall_ns = self._wall_clock_ns() if self._wall_clock_ns is not None else None
        longest_ns = 0 if self._polled_ns is None else now_ns - self._polled_ns
        self._polled_ns = now_ns
        receive, take = self._bus.recv, self._take
        while taken < MAX_FRAMES_A_POLL:
            try:
                message = receive(0)
            except (can.CanError, OSError, ValueError) as error:
                raise BusError(f"cannot read the CAN bus: {error}; is the interface still up?") from error
            if message is None:
                break
            taken += 1
            bus_ns = round(message.timestamp * 1e9)
            waited_ns = 0 if wall_ns is None else min(max(wall_ns - bus_ns, 0), longest_ns)
            take(message, bus_ns, now_ns - waited_ns)
        self._state = self._assembler.state(now_ns)
        return taken

    def _take(self, message: can.Message, bus_ns: int, stamp_ns: int) -> None:
        frame_id, data = message.arbitration_id, message.data
        if message.is_error_frame:
            self._bad_frames += 1
            self._bus_off = bool(frame_id & _BUS_OFF) or (self._bus_off and not frame_id & _RESTARTED)
            return
        if message.is_extended_id or message.is_remote_frame:
            return
        try:
            if self._assembler.feed(frame_id, data, bus_ns, stamp_ns):
                self._bus_off = False
            elif frame_id == codec.FIRMWARE:
                self._on_firmware(data)
            elif frame_id in codec.COMMANDS:
                self.others.heard(frame_id, data, bus_ns, stamp_ns)
            elif frame_id in REPLIES:
                self.settings.take(frame_id, data, stamp_ns)
            elif len(self._unknown_ids) < _UNKNOWN_IDS_KEPT:
                self._unknown_ids.add(frame_id)
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

    def send_follower_role(self) -> None:
        """Makes a leader arm a follower that takes commands; the arm keeps it in flash. Harmless for a follower."""
        self._send(codec.encode(codec.ROLE_COMMAND, {"Role": _FOLLOWER}))

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

    def send_mit(self, targets: Sequence[MitTarget], variant: FirmwareVariant) -> None:
        """Sends MIT targets for joint1, joint2 .. in order, one to six, as the arm's firmware writes them.

        Raises `ValueOutOfRangeError` before anything is sent if one does not fit.
        """
        self._send(*[encode_mit(joint, target, variant) for joint, target in enumerate(targets)])

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

    def request_limits(self) -> None:
        """Asks for the firmware's joint limits; `limits` has them a few polls later."""
        self._send(
            *[
                codec.encode(codec.LIMITS_QUERY, {"Motor": motor, "Content": content})
                for content in (1, 2)
                for motor in range(1, 7)
            ]
        )

    def request_settings(self) -> None:
        """Asks for limits of the flange, collision levels and settings of the gripper; `settings` has them later."""
        self._send(*[codec.encode(codec.SETTINGS_COMMAND, {"Query": query, "Load": 3}) for query in (1, 2, 4)])

    def _send(self, *frames: codec.Frame) -> None:
        try:
            for frame in frames:
                self.others.sent(frame)
                self._bus.send(to_message(frame.frame_id, frame.data))
        except (can.CanError, OSError, ValueError) as error:
            ids = ", ".join(f"0x{frame.frame_id:03X}" for frame in frames)
            raise BusError(
                f"cannot send CAN frames {ids}: {error}; "
                "is the arm powered and its cable connected, and is the interface up?"
            ) from error
