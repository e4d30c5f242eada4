"""MIT control: position, speed, two gains and a torque for one joint, in frames that differ with the firmware.

The motor's torque is `kp * (position - q) + kd * (speed - dq) + torque`. Source of the layouts: piper_sdk 0.6.2 for
firmware before S-V1.8-8, pyAgxArm for later ones.
"""

import math
from dataclasses import dataclass

from piper_can import codec
from piper_can.errors import ValueOutOfRangeError
from piper_can.variants import FirmwareVariant, MitFormat

_JOINTS = 6


@dataclass(frozen=True)
class MitTarget:
    """What one joint is asked for."""

    position_rad: float
    velocity_rad_s: float
    kp: float
    """N·m/rad, 0 to 500."""
    kd: float
    """N·m·s/rad, 0 to 5."""
    torque_nm: float
    """At the joint, N·m."""


def torque_limit_nm(variant: FirmwareVariant, joint: int) -> float:
    """Greatest torque that a MIT frame can ask of a joint (0 to 5), N·m."""
    return variant.mit.torque_limit_nm * variant.mit.joint_torque[joint]


def encode_mit(joint: int, target: MitTarget, variant: FirmwareVariant) -> codec.Frame:
    """The frame for a joint (0 to 5). Raises `ValueOutOfRangeError` for whatever does not fit; nothing wraps."""
    if not 0 <= joint < _JOINTS:
        raise ValueOutOfRangeError(f"there is no joint {joint}; expected 0 to 5, 0 for joint1")
    limit = torque_limit_nm(variant, joint)
    if not (math.isfinite(target.torque_nm) and abs(target.torque_nm) <= limit):
        raise ValueOutOfRangeError(
            f"torque of joint{joint + 1} is {target.torque_nm:g} N·m; expected {-limit:g} to {limit:g} N·m "
            f"for firmware from {variant.first} on; nothing was sent"
        )
    mit = variant.mit
    count = round((target.torque_nm / limit + 1.0) / 2.0 * _highest(mit))
    values = {
        "Position": target.position_rad,
        "Velocity": target.velocity_rad_s,
        "Kp": target.kp,
        "Kd": target.kd,
        "TorqueField": count << 4 if mit.has_checksum else count,
    }
    frame = codec.encode(codec.MIT_TARGETS[joint], values)
    if not mit.has_checksum:
        return frame
    return codec.Frame(frame.frame_id, frame.data[:7] + bytes([frame.data[7] | _checksum(frame.data)]))


def decode_mit(frame: codec.Frame, variant: FirmwareVariant) -> MitTarget | None:
    """What a MIT frame asks for; None if its checksum is wrong, as the arm would drop it.

    Raises `UnknownFrameError` and `BadFrameError` as `codec.decode`.
    """
    values = codec.decode(*frame)
    mit = variant.mit
    field = int(values["TorqueField"])
    if mit.has_checksum and field & 0xF != _checksum(frame.data):
        return None
    count = field >> 4 if mit.has_checksum else field
    limit = torque_limit_nm(variant, codec.MIT_TARGETS.index(frame.frame_id))
    torque_nm = (2.0 * count / _highest(mit) - 1.0) * limit
    return MitTarget(values["Position"], values["Velocity"], values["Kp"], values["Kd"], torque_nm)


def _highest(mit: MitFormat) -> int:
    return (1 << mit.torque_bits) - 1


def _checksum(data: bytes) -> int:
    """Exclusive or of the lower halves of the first seven bytes."""
    result = 0
    for byte in data[:7]:
        result ^= byte
    return result & 0xF
