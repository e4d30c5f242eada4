"""What the arm keeps in its flash: joint limits, collision levels, limits of the flange, settings of the gripper."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from piper_can import codec
from piper_can.variants import FirmwareVariant

REPLIES: Final = frozenset(
    {
        codec.LIMITS_REPLY,
        codec.ACCELERATION_REPLY,
        codec.SETTING_REPLY,
        codec.END_LIMITS_REPLY,
        codec.COLLISION_REPLY,
        codec.GRIPPER_SETTINGS_REPLY,
    }
)
_MAX_SPEED_RAD_S: Final = 6.3
"""About twice what the fastest joint is specified for."""
_MAX_ACCELERATION_RAD_S2: Final = 20.0


@dataclass(frozen=True)
class FirmwareLimits:
    """The limits that the arm's firmware holds its joints to; arrays (6,)."""

    lower_rad: NDArray[np.float64]
    upper_rad: NDArray[np.float64]
    speed_rad_s: NDArray[np.float64]
    acceleration_rad_s2: NDArray[np.float64]
    stamp_ns: int
    """Monotonic time at which the oldest of its parts arrived."""

    def problems(self) -> tuple[str, ...]:
        """What is wrong with them, joint by joint: a firmware can lose its limits, and then the arm must not move."""
        found = []
        for joint in range(6):
            lower, upper = np.degrees([self.lower_rad[joint], self.upper_rad[joint]])
            speed, acceleration = self.speed_rad_s[joint], self.acceleration_rad_s2[joint]
            if upper - lower < 1.0:
                found.append(f"joint{joint + 1} may move from {lower:.1f} to {upper:.1f} deg only")
            if not 0.0 < speed <= _MAX_SPEED_RAD_S:
                found.append(f"joint{joint + 1} has a speed limit of {speed:.2f} rad/s")
            if not 0.0 < acceleration <= _MAX_ACCELERATION_RAD_S2:
                found.append(f"joint{joint + 1} has an acceleration limit of {acceleration:.2f} rad/s2")
        return tuple(found)


@dataclass(frozen=True)
class GripperSettings:
    """How the gripper is set up."""

    max_stroke_m: float
    """0.07 or 0.1; 0 if it was never set, and then the gripper reports an opening of 0."""
    teach_percent: float
    teach_friction: int


@dataclass(frozen=True)
class SettingReply:
    """The arm's acknowledgement of a setting."""

    command_id: int
    """Id of the command that it answers."""
    zero_set: bool
    """Whether a joint zero was set."""
    stamp_ns: int


class SettingsReader:
    """Takes the arm's answers (ids in `REPLIES`) and holds the latest. Pure logic; not thread-safe."""

    def __init__(self) -> None:
        self.collision_levels: tuple[int, ...] | None = None
        """(6,): 0 collisions are not detected, 8 most sensitive; None until heard."""
        self.gripper: GripperSettings | None = None
        self.last_reply: SettingReply | None = None
        self.flange_speed_m_s: float | None = None
        self._limits: dict[int, tuple[dict[str, float], int]] = {}
        self._accelerations: dict[int, tuple[float, int]] = {}

    def take(self, frame_id: int, data: bytes | bytearray, now_ns: int) -> None:
        """Takes one answer; raises `BadFrameError` if it is not eight bytes. Answers about no joint are ignored."""
        values = codec.decode(frame_id, data)
        if frame_id == codec.LIMITS_REPLY:
            self._limits[int(values["Motor"])] = (values, now_ns)
        elif frame_id == codec.ACCELERATION_REPLY:
            self._accelerations[int(values["Motor"])] = (values["Acceleration"], now_ns)
        elif frame_id == codec.COLLISION_REPLY:
            self.collision_levels = tuple(int(values[name]) for name in codec.JOINT_SIGNALS)
        elif frame_id == codec.END_LIMITS_REPLY:
            self.flange_speed_m_s = values["Speed"]
        elif frame_id == codec.GRIPPER_SETTINGS_REPLY:
            self.gripper = GripperSettings(values["MaxStroke"], values["TeachPercent"], int(values["TeachFriction"]))
        elif frame_id == codec.SETTING_REPLY:
            command_id = 0x400 + int(values["Index"]) if values["Index"] >= 0x70 else 0x100 + int(values["Index"])
            self.last_reply = SettingReply(command_id, values["ZeroSet"] == 1, now_ns)

    def limits(self, variant: FirmwareVariant) -> FirmwareLimits | None:
        """The joint limits, in the units of the arm's firmware; None until those of all six joints were heard."""
        joints = range(1, 7)
        if not all(joint in self._limits and joint in self._accelerations for joint in joints):
            return None
        replies = [self._limits[joint][0] for joint in joints]
        stamps = [self._limits[joint][1] for joint in joints] + [self._accelerations[joint][1] for joint in joints]
        return FirmwareLimits(
            lower_rad=_frozen([reply["LowerAngle"] for reply in replies]),
            upper_rad=_frozen([reply["UpperAngle"] for reply in replies]),
            speed_rad_s=_frozen([reply["SpeedCount"] * variant.joint_speed_unit_rad_s for reply in replies]),
            acceleration_rad_s2=_frozen([self._accelerations[joint][0] for joint in joints]),
            stamp_ns=min(stamps),
        )


def _frozen(values: list[float]) -> NDArray[np.float64]:
    array = np.array(values, dtype=np.float64)
    array.setflags(write=False)
    return array
