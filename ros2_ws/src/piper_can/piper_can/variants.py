"""What differs from firmware to firmware: one table, chosen from by the version that the arm reports.

Sources: the vendor's `firmware_reference.md` (pyAgxArm) for MIT control and torque, its README (piper_ros) for the
joint zero, and its answer in piper_sdk issue 122 for the unit of joint speed limits: 0.01 rad/s, although comments in
piper_sdk say 0.001. Versions before S-V1.5-2 speak another protocol; those after the newest that the table was checked
against are refused, because a wrong variant moves an arm in ways that nobody asked for.
"""

from dataclasses import dataclass
from typing import Final

from piper_description import FirmwareZero

from piper_can.errors import FirmwareVersionError
from piper_can.firmware import FirmwareVersion

PerJoint = tuple[float, float, float, float, float, float]

_SMALL_MOTOR: Final = 0.813252
"""Joint torque of joints 4 to 6 per torque in the frame, the vendor's coefficient c."""


@dataclass(frozen=True)
class MitFormat:
    """How the torque of a MIT frame (0x15A-0x15F) is written."""

    move_mode: int
    """MoveMode of 0x151 that selects MIT control."""
    torque_bits: int
    torque_limit_nm: float
    """The counts of `torque_bits` go from minus this to plus this, in the frame's unit, not at the joint."""
    has_checksum: bool
    """Whether the last four bits are the exclusive or of the other bytes' lower halves."""
    joint_torque: PerJoint
    """Torque at each joint per torque in the frame."""


@dataclass(frozen=True)
class FirmwareVariant:
    """How the arm understands what is the same frame in every firmware."""

    first: FirmwareVersion
    """First version of which all this is true; the next row's first ends it."""
    zero: FirmwareZero
    mit: MitFormat
    torque_per_current: PerJoint
    """Joint torque per motor current, N·m/A, for the current in 0x251-0x256."""
    joint_speed_unit_rad_s: float
    """One count of SpeedCount in 0x473 and 0x474, rad/s."""


_MIT_RAW: Final = MitFormat(4, 8, 8.0, True, (4.0, 4.0, 4.0, _SMALL_MOTOR, _SMALL_MOTOR, _SMALL_MOTOR))
_MIT_SCALED: Final = MitFormat(4, 8, 8.0, True, (1.0, 1.0, 1.0, _SMALL_MOTOR, _SMALL_MOTOR, _SMALL_MOTOR))
_MIT_FINE: Final = MitFormat(6, 12, 16.0, False, (1.0, 1.0, 1.0, _SMALL_MOTOR, _SMALL_MOTOR, _SMALL_MOTOR))
_TORQUE_PER_CURRENT: Final = (4.725, 4.725, 4.725, 0.95844, 0.95844, 0.95844)
_SPEED_UNIT: Final = 0.01

VARIANTS: Final = tuple(
    FirmwareVariant(FirmwareVersion(*first), zero, mit, _TORQUE_PER_CURRENT, _SPEED_UNIT)
    for first, zero, mit in (
        ((1, 5, 2), FirmwareZero.LEGACY, _MIT_RAW),
        ((1, 6, 3), FirmwareZero.CURRENT, _MIT_RAW),
        ((1, 8, 3), FirmwareZero.CURRENT, _MIT_SCALED),
        ((1, 8, 8), FirmwareZero.CURRENT, _MIT_FINE),
    )
)
"""Oldest first."""
NEWEST_KNOWN: Final = FirmwareVersion(1, 8, 9)


def variant_of(version: str) -> FirmwareVariant:
    """The variant of a firmware version such as `S-V1.8-5`.

    Raises `FirmwareVersionError`, which says what to do, for a text that is no version and for a version that is older
    or newer than those in the table.
    """
    number = FirmwareVersion.parse(version)
    if number > NEWEST_KNOWN:
        raise FirmwareVersionError(
            f"firmware {number} is newer than {NEWEST_KNOWN}, the newest that is known here, so its joint zero, units "
            "and MIT frames are unknown; update Armature, or flash a known version with the vendor's tool, or compare "
            "the vendor's release notes and add a row to piper_can/variants.py"
        )
    if number < VARIANTS[0].first:
        raise FirmwareVersionError(
            f"firmware {number} is older than {VARIANTS[0].first}, the first with this protocol; "
            f"update the arm with the vendor's tool (to {NEWEST_KNOWN} or older)"
        )
    return next(variant for variant in reversed(VARIANTS) if number >= variant.first)


def firmware_zero(version: str) -> FirmwareZero:
    """The joint zero of firmware `version`: CURRENT from S-V1.6-3 on; raises as `variant_of`.

    A guess could put the flange 10 mm off.
    """
    return variant_of(version).zero
