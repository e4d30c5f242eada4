"""The Piper's CAN protocol: one DBC file, codec, bus, host side."""

from piper_can.arm_state import (
    ArmState,
    ArmStatusCode,
    CtrlMode,
    GripperSample,
    JointSample,
    MotorSample,
    StatusSample,
)
from piper_can.bus import open_bus
from piper_can.errors import (
    BadFrameError,
    BusError,
    FirmwareVersionError,
    PiperCanError,
    UnknownFrameError,
    ValueOutOfRangeError,
)
from piper_can.firmware import firmware_zero
from piper_can.host import PiperHost

__all__ = [
    "ArmState",
    "ArmStatusCode",
    "BadFrameError",
    "BusError",
    "CtrlMode",
    "FirmwareVersionError",
    "GripperSample",
    "JointSample",
    "MotorSample",
    "PiperCanError",
    "PiperHost",
    "StatusSample",
    "UnknownFrameError",
    "ValueOutOfRangeError",
    "firmware_zero",
    "open_bus",
]
