"""The Piper's firmware as its CAN bus shows it: what the arm does with each command and what it reports.

Pure logic over one control tick at a time; the plant (joints, servos) is someone else's. It behaves as firmware
S-V1.8-5 in position-velocity mode with joint targets (0x151 CAN, MOVE J): Cartesian targets, stored trajectories and
MIT control are not there, and commands for them have no effect. Torque goes to all six joints or to none: it is on once
every joint is enabled.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from piper_can import BadFrameError, codec
from piper_can.firmware import REPLY_FRAMES
from piper_can.samples import ArmStatusCode, CtrlMode
from piper_can.variants import variant_of
from piper_description import GRIPPER_MAX_OPENING, JOINT_LIMITS, FirmwareZero, forward_kinematics
from piper_description.kinematics import rotation_to_rpy

from virtual_lab.arm_settings import ArmSettings

Array = NDArray[np.float64]

FIRMWARE_VERSION: Final = "S-V1.8-5"
SLOW_FEEDBACK_TICKS: Final = 5
"""Motor driver states go out every fifth tick: 40 Hz of 200 Hz."""
VARIANT: Final = variant_of(FIRMWARE_VERSION)
CURRENT_PER_TORQUE: Final = 1.0 / np.array(VARIANT.torque_per_current)
"""Motor current per joint torque, A/(N m), shape (6,)."""

_IDENTITY: Final = {0: "H-V1.2-1", 16: "10", 32: "ARM_MC", 60: FIRMWARE_VERSION, 68: "250925", 76: "15"}
"""Where in the answer to a version request its parts begin: hardware, motors, node, firmware, date, number."""
_MOVE_J: Final = 1
_REACHED_RAD: Final = 0.01
_LEADER, _FOLLOWER = 0xFA, 0xFC
_ALL_JOINTS, _ALL_AND_GRIPPER = 7, 0xFF
_GRIPPER_TORQUE_PER_FORCE: Final = 0.1  # N m per N; the real ratio is not published
_SUPPLY_V: Final = 24.0
_TEMPERATURE_C: Final = 30
_WIRE_MAX: Final = 32.767  # 16-bit speeds and currents saturate here


@dataclass(frozen=True)
class PlantReading:
    """What the sensors say, each (7,): rad and m, rad/s and m/s, N m (servos) and N (gripper)."""

    position: Array
    velocity: Array
    torque: Array


@dataclass(frozen=True)
class ServoCommand:
    """What the servos are to do in the next tick."""

    setpoint: Array
    """(7,): joint angles in rad and gripper opening in m."""
    mode: str
    """`servo` (torque on), `damped` (no torque, damping) or `off` (no torque)."""


class ArmEmulator:
    """State of the firmware. Give it every received frame; in a tick call `step`, move the plant, call `feedback`."""

    def __init__(self, reading: PlantReading) -> None:
        self._enabled = np.zeros(6, dtype=bool)
        self._gripper_enabled = False
        self._stopped = False
        self._is_leader = False
        self._enables_to_ignore = 0
        self._ctrl_mode = CtrlMode.STANDBY
        self._move_mode = 0
        self._mit = False
        self._speed_fraction = 0.0
        self._over_limit = np.zeros(6, dtype=bool)
        self._target = reading.position[:6].copy()
        self._setpoint = reading.position[:6].copy()
        self._gripper_target = float(reading.position[6])
        self._tick = 0
        self._settings = ArmSettings(VARIANT)

    @property
    def mode(self) -> str:
        """What the servos do now: `servo`, `damped` or `off`."""
        if not self._enabled.all():
            return "off"
        return "damped" if self._stopped else "servo"

    def hold(self, position: Array) -> None:
        """Forgets targets and holds `position` (7,), for when the arm was moved by hand; rad and m."""
        self._target = position[:6].copy()
        self._setpoint = position[:6].copy()
        self._gripper_target = float(position[6])

    def receive(self, frame_id: int, data: bytes | bytearray) -> list[codec.Frame]:
        """Takes one frame of the bus and returns the frames that answer it at once.

        Ids that are no commands are ignored, its own feedback among them: some buses deliver what one sends.
        """
        try:
            if frame_id == codec.FIRMWARE:
                is_request = bytes(data).ljust(codec.FRAME_BYTES, b"\0") == codec.FIRMWARE_REQUEST
                return self._firmware_reply() if is_request else []
            if frame_id == codec.ROLE_COMMAND:
                role = codec.decode(frame_id, data)["Role"]
                self._is_leader = role == _LEADER or (self._is_leader and role != _FOLLOWER)
            elif not self._is_leader:  # a leader arm listens to nothing else
                self._command(frame_id, data)
                return self._settings.answer(frame_id, data)
        except BadFrameError:
            pass  # the firmware drops what it cannot read
        return []

    def _command(self, frame_id: int, data: bytes | bytearray) -> None:
        if frame_id in codec.JOINT_TARGETS:
            self._on_joint_targets(codec.JOINT_TARGETS.index(frame_id), codec.decode(frame_id, data))
        elif frame_id == codec.MODE_COMMAND:
            self._on_mode(codec.decode(frame_id, data))
        elif frame_id == codec.GRIPPER_COMMAND:
            self._on_gripper(codec.decode(frame_id, data))
        elif frame_id == codec.ENABLE_COMMAND:
            self._on_enable(codec.decode(frame_id, data))
        elif frame_id == codec.STOP_COMMAND:
            self._on_stop(codec.decode(frame_id, data)["Stop"])

    def _on_stop(self, stop: float) -> None:
        if stop == 1:
            self._stopped = True
        elif stop == 2:  # errors cleared and the torque cut at once; the first enable after it has no effect
            self._stopped = False
            self._enabled[:] = False
            self._gripper_enabled = False
            self._over_limit[:] = False
            self._ctrl_mode = CtrlMode.STANDBY
            self._enables_to_ignore = 1

    def _on_mode(self, values: dict[str, float]) -> None:
        if self._stopped:
            return
        self._ctrl_mode = CtrlMode(int(values["CtrlMode"]))
        self._move_mode = int(values["MoveMode"])
        self._mit = values["MitMode"] != 0
        self._speed_fraction = min(values["SpeedPercent"], 100.0) / 100.0

    def _on_joint_targets(self, pair: int, values: dict[str, float]) -> None:
        listening = self._ctrl_mode is CtrlMode.CAN and self._move_mode == _MOVE_J and not self._mit
        if self.mode != "servo" or not listening:
            return
        for joint in (2 * pair, 2 * pair + 1):
            target = values[codec.JOINT_SIGNALS[joint]]
            tolerance = 1e-9  # the limits are whole thousandths of a degree
            inside = JOINT_LIMITS.lower[joint] - tolerance <= target <= JOINT_LIMITS.upper[joint] + tolerance
            self._over_limit[joint] = not inside
            if inside:
                self._target[joint] = target

    def _on_gripper(self, values: dict[str, float]) -> None:
        if self._stopped:
            return
        self._gripper_enabled = bool(int(values["Enable"]) & 1)
        if self._gripper_enabled:
            self._gripper_target = min(max(values["Stroke"], 0.0), GRIPPER_MAX_OPENING)

    def _on_enable(self, values: dict[str, float]) -> None:
        motor, enable = int(values["Motor"]), values["Enable"] == 2
        if enable and self._stopped:
            return
        if enable and self._enables_to_ignore:
            self._enables_to_ignore -= 1
            return
        if 1 <= motor <= 6:
            self._enabled[motor - 1] = enable
        elif motor in (_ALL_JOINTS, _ALL_AND_GRIPPER):
            self._enabled[:] = enable
        if motor == _ALL_AND_GRIPPER:
            self._gripper_enabled = enable

    def step(self, dt_s: float) -> ServoCommand:
        """The servos' command for the next `dt_s` seconds.

        With torque on, the setpoint runs to the last target at the firmware's speed limit times the commanded share,
        host or no host; without, it is where the arm is.
        """
        if self.mode == "servo":
            step = JOINT_LIMITS.velocity[:6] * self._speed_fraction * dt_s
            self._setpoint = self._setpoint + np.clip(self._target - self._setpoint, -step, step)
        return ServoCommand(np.append(self._setpoint, self._gripper_target), self.mode)

    def feedback(self, reading: PlantReading) -> list[codec.Frame]:
        """Takes the sensors' reading after a tick; the tick's frames: 14, and every fifth tick 6 more.

        A leader arm at rest sends none.
        """
        self._tick += 1
        if self.mode != "servo":  # so that nothing jumps when the torque comes back
            self._setpoint = reading.position[:6].copy()
            self._target = self._setpoint.copy()
        if not self._gripper_enabled:
            self._gripper_target = float(reading.position[6])
        if self._is_leader:
            return []
        frames = [self._status_frame(reading), *self._pose_frames(reading)]
        frames += codec.encode_pairs(codec.JOINT_FEEDBACK, codec.JOINT_SIGNALS, reading.position[:6].tolist())
        frames.append(self._gripper_frame(reading))
        velocity = np.clip(reading.velocity[:6], -_WIRE_MAX, _WIRE_MAX).tolist()
        current = np.clip(reading.torque[:6] * CURRENT_PER_TORQUE, -_WIRE_MAX, _WIRE_MAX).tolist()
        frames += [
            codec.encode(frame_id, {"Velocity": v, "Current": i, "Position": q})
            for frame_id, v, i, q in zip(
                codec.MOTOR_FAST, velocity, current, reading.position[:6].tolist(), strict=True
            )
        ]
        if self._tick % SLOW_FEEDBACK_TICKS == 0:
            frames += self._motor_slow_frames(current)
        return frames

    def _status_frame(self, reading: PlantReading) -> codec.Frame:
        status = ArmStatusCode.NORMAL
        if self._over_limit.any():
            status = ArmStatusCode.TARGET_OVER_LIMIT
        if self._stopped:
            status = ArmStatusCode.EMERGENCY_STOP
        moving = bool(np.abs(self._target - reading.position[:6]).max() > _REACHED_RAD)
        values = {
            "CtrlMode": int(self._ctrl_mode),
            "ArmStatus": int(status),
            "MoveMode": self._move_mode,
            "Motion": int(moving),
            "AngleLimitJoints": sum(1 << joint for joint in range(6) if self._over_limit[joint]),
        }
        return codec.encode(codec.ARM_STATUS, values)

    @staticmethod
    def _pose_frames(reading: PlantReading) -> list[codec.Frame]:
        T_base_flange = forward_kinematics(reading.position[:6], FirmwareZero.CURRENT)
        pose = [*T_base_flange[:3, 3].tolist(), *rotation_to_rpy(T_base_flange[:3, :3]).tolist()]
        return codec.encode_pairs(codec.END_POSE, codec.END_POSE_SIGNALS, pose)

    def _gripper_frame(self, reading: PlantReading) -> codec.Frame:
        effort = max(-_WIRE_MAX, min(float(reading.torque[6]) * _GRIPPER_TORQUE_PER_FORCE, _WIRE_MAX))
        values = {
            "Stroke": float(reading.position[6]),
            "Effort": effort,
            "Enabled": int(self._gripper_enabled),
            "Homed": 1,
        }
        return codec.encode(codec.GRIPPER_FEEDBACK, values)

    def _motor_slow_frames(self, current: list[float]) -> list[codec.Frame]:
        return [
            codec.encode(
                frame_id,
                {
                    "Voltage": _SUPPLY_V,
                    "DriverTemperature": _TEMPERATURE_C,
                    "MotorTemperature": _TEMPERATURE_C,
                    "Enabled": int(self._enabled[joint]),
                    "BusCurrent": abs(current[joint]) if joint < 3 else 0.0,  # the small motors do not measure it
                },
            )
            for joint, frame_id in enumerate(codec.MOTOR_SLOW)
        ]

    @staticmethod
    def _firmware_reply() -> list[codec.Frame]:
        size = codec.FRAME_BYTES
        text = bytearray(REPLY_FRAMES * size)
        for start, part in _IDENTITY.items():
            text[start : start + len(part)] = part.encode("ascii")
        return [codec.encode_payload(bytes(text[i : i + size])) for i in range(0, len(text), size)]
