"""The Piper's CAN protocol: one DBC file, codec, bus, host side."""

from piper_can.bus import open_bus
from piper_can.command_watch import ForeignCommand, GripperTarget
from piper_can.errors import (
    BadFrameError,
    BusError,
    FirmwareVersionError,
    PiperCanError,
    UnknownFrameError,
    ValueOutOfRangeError,
)
from piper_can.host import PiperHost
from piper_can.mit import MitTarget
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
from piper_can.settings import FirmwareLimits, GripperSettings, SettingReply
from piper_can.variants import FirmwareVariant, firmware_zero, variant_of

__all__ = [
    "ArmState",
    "ArmStatusCode",
    "BadFrameError",
    "BusError",
    "CtrlMode",
    "FirmwareLimits",
    "FirmwareVariant",
    "FirmwareVersionError",
    "ForeignCommand",
    "GripperSample",
    "GripperSettings",
    "GripperTarget",
    "JointSample",
    "MitTarget",
    "MotorSample",
    "PiperCanError",
    "PiperHost",
    "PoseSample",
    "SettingReply",
    "StatusSample",
    "UnknownFrameError",
    "ValueOutOfRangeError",
    "firmware_zero",
    "open_bus",
    "variant_of",
]
