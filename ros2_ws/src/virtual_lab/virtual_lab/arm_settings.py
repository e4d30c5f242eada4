"""What the arm keeps in its flash, and its answers to questions about it. Pure logic.

Settings are kept and read back. Limits that a host sets are not followed: the emulator moves by `JOINT_LIMITS`.
"""

from typing import Final

import numpy as np
from piper_can import codec
from piper_can.variants import FirmwareVariant
from piper_description import JOINT_LIMITS

_ALL_JOINTS: Final = 7
_SET: Final = 0xAE
_KEEP: Final = 0x7FFF
_COLLISION, _END_LIMITS, _GRIPPER = 2, 1, 4  # contents that 0x477 asks for

Values = dict[str, float]


class ArmSettings:
    """Settings of one arm, as they leave the factory."""

    def __init__(self, variant: FirmwareVariant) -> None:
        degrees = np.degrees([JOINT_LIMITS.lower[:6], JOINT_LIMITS.upper[:6]]).T
        self._limits: list[Values] = [
            {
                "LowerAngle": float(np.radians(lower)),
                "UpperAngle": float(np.radians(upper)),
                "SpeedCount": round(float(speed) / variant.joint_speed_unit_rad_s),
            }
            for (lower, upper), speed in zip(degrees, JOINT_LIMITS.velocity[:6], strict=True)
        ]
        self._accelerations: list[float] = JOINT_LIMITS.acceleration[:6].tolist()
        self._collision: Values = dict.fromkeys(codec.JOINT_SIGNALS, 1)
        self._end_limits: Values = {
            "Speed": 0.5, "AngularSpeed": 1.0, "Acceleration": 1.0, "AngularAcceleration": 2.0
        }  # fmt: skip
        self._gripper: Values = {"TeachPercent": 100, "MaxStroke": 0.07, "TeachFriction": 1}

    def answer(self, frame_id: int, data: bytes | bytearray) -> list[codec.Frame]:
        """The frames that answer a command about settings, none for any other id. Raises as `codec.decode`."""
        if frame_id == codec.LIMITS_QUERY:
            return self._limits_of(codec.decode(frame_id, data))
        if frame_id == codec.SETTINGS_COMMAND:
            return self._settings_of(codec.decode(frame_id, data)["Query"])
        if frame_id == codec.LIMITS_COMMAND:
            self._set_limits(codec.decode(frame_id, data))
        elif frame_id == codec.JOINT_COMMAND:
            return self._on_joint_command(codec.decode(frame_id, data))
        elif frame_id == codec.COLLISION_COMMAND:
            self._collision = codec.decode(frame_id, data)
        elif frame_id == codec.END_LIMITS_COMMAND:
            self._end_limits |= {
                name: value for name, value in codec.decode(frame_id, data).items() if round(value * 1000) != _KEEP
            }
        elif frame_id == codec.GRIPPER_SETTINGS_COMMAND:
            self._gripper = codec.decode(frame_id, data)
        else:
            return []
        return [_acknowledgement(frame_id)]

    def _limits_of(self, values: Values) -> list[codec.Frame]:
        return [
            codec.encode(codec.LIMITS_REPLY, {"Motor": joint + 1, **self._limits[joint]})
            if values["Content"] == 1
            else codec.encode(
                codec.ACCELERATION_REPLY, {"Motor": joint + 1, "Acceleration": self._accelerations[joint]}
            )
            for joint in _joints(values["Motor"])
        ]

    def _settings_of(self, query: float) -> list[codec.Frame]:
        if query == _END_LIMITS:
            return [codec.encode(codec.END_LIMITS_REPLY, self._end_limits)]
        if query == _COLLISION:
            return [codec.encode(codec.COLLISION_REPLY, self._collision)]
        if query == _GRIPPER:
            return [codec.encode(codec.GRIPPER_SETTINGS_REPLY, self._gripper)]
        return [_acknowledgement(codec.SETTINGS_COMMAND)]

    def _set_limits(self, values: Values) -> None:
        kept = {"LowerAngle": np.radians(_KEEP / 10), "UpperAngle": np.radians(_KEEP / 10), "SpeedCount": _KEEP}
        new = {name: values[name] for name, keep in kept.items() if not np.isclose(values[name], keep)}
        for joint in _joints(values["Motor"]):
            self._limits[joint] |= new

    def _on_joint_command(self, values: Values) -> list[codec.Frame]:
        if values["AccelerationValid"] == _SET and round(values["Acceleration"] * 100) != _KEEP:
            for joint in _joints(values["Motor"]):
                self._accelerations[joint] = values["Acceleration"]
        return [_acknowledgement(codec.JOINT_COMMAND)]


def _joints(motor: float) -> range:
    """The joints (from 0) that a motor number stands for; none for a number that no motor has."""
    if motor == _ALL_JOINTS:
        return range(6)
    return range(int(motor) - 1, int(motor)) if 1 <= motor <= 6 else range(0)


def _acknowledgement(frame_id: int) -> codec.Frame:
    return codec.encode(codec.SETTING_REPLY, {"Index": frame_id & 0xFF})
