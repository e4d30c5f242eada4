"""Frames of the Piper protocol to and from SI values, through `piper.dbc` and cantools.

Angles are radians here; every other signal is SI in both. A value that does not fit its signal raises; nothing wraps
and nothing is clamped. Signals whose meaning depends on the firmware (`TorqueField`, `SpeedCount`) are counts here;
`mit` and `settings` give them their units.
"""

import math
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Final, NamedTuple

import cantools
from cantools.database.can import Database, Message, Signal

from piper_can.errors import BadFrameError, UnknownFrameError, ValueOutOfRangeError

STOP_COMMAND: Final = 0x150
MODE_COMMAND: Final = 0x151
POSE_TARGETS: Final = (0x152, 0x153, 0x154)
JOINT_TARGETS: Final = (0x155, 0x156, 0x157)
ARC_POINT_COMMAND: Final = 0x158
GRIPPER_COMMAND: Final = 0x159
MIT_TARGETS: Final = (0x15A, 0x15B, 0x15C, 0x15D, 0x15E, 0x15F)
ROLE_COMMAND: Final = 0x470
ENABLE_COMMAND: Final = 0x471
LIMITS_QUERY: Final = 0x472
LIMITS_REPLY: Final = 0x473
LIMITS_COMMAND: Final = 0x474
JOINT_COMMAND: Final = 0x475
SETTING_REPLY: Final = 0x476
SETTINGS_COMMAND: Final = 0x477
END_LIMITS_REPLY: Final = 0x478
END_LIMITS_COMMAND: Final = 0x479
COLLISION_COMMAND: Final = 0x47A
COLLISION_REPLY: Final = 0x47B
ACCELERATION_REPLY: Final = 0x47C
GRIPPER_SETTINGS_COMMAND: Final = 0x47D
GRIPPER_SETTINGS_REPLY: Final = 0x47E
FIRMWARE: Final = 0x4AF
ARM_STATUS: Final = 0x2A1
END_POSE: Final = (0x2A2, 0x2A3, 0x2A4)
JOINT_FEEDBACK: Final = (0x2A5, 0x2A6, 0x2A7)
GRIPPER_FEEDBACK: Final = 0x2A8
MOTOR_FAST: Final = (0x251, 0x252, 0x253, 0x254, 0x255, 0x256)
MOTOR_SLOW: Final = (0x261, 0x262, 0x263, 0x264, 0x265, 0x266)

FIRMWARE_REQUEST: Final = bytes([1, 0, 0, 0, 0, 0, 0, 0])
"""Data of a 0x4AF frame that asks the arm for its identity; any other data is a piece of the answer."""

FRAME_BYTES: Final = 8
_ROUNDING: Final = 0.51
"""Share of a count by which a value may lie outside its range: it is on the limit then."""


class Frame(NamedTuple):
    """One CAN data frame with an 11-bit id and eight bytes."""

    frame_id: int
    data: bytes


class _Signal(NamedTuple):
    scale: float
    offset: float
    minimum: float
    maximum: float
    lowest: int
    """The count nearest to the minimum."""
    highest: int
    codes: frozenset[int] | None
    """The counts that a command may carry, where only some have a meaning."""
    is_code: bool
    """Whether the signal is a whole number without a unit, of which a fraction means nothing."""
    in_degrees: bool
    expected: str
    """The range in words, for errors."""
    unit: str

    def allows(self, wire: float, count: int) -> bool:
        """Whether a value in the wire's unit, and the count that it becomes, may be sent."""
        slack = _ROUNDING * self.scale
        return (
            self.lowest <= count <= self.highest
            and self.minimum - slack <= wire <= self.maximum + slack
            and (self.codes is None or count in self.codes)
        )


class _Entry(NamedTuple):
    message: Message
    signals: dict[str, _Signal]
    degree_signals: tuple[str, ...]
    zeros: dict[str, int]
    """What 0 is on the wire, for signals that are left out."""
    required: tuple[str, ...]
    """Signals that may not be 0."""


def load_database() -> Database:
    """The protocol as a cantools database (`piper.dbc` beside this file)."""
    text = files("piper_can").joinpath("piper.dbc").read_text(encoding="ascii")
    database = cantools.database.load_string(text, database_format="dbc")
    assert isinstance(database, Database)
    return database


def _signal(signal: Signal, is_command: bool) -> _Signal:
    scale, offset, unit = signal.scale, signal.offset, signal.unit or ""
    assert signal.minimum is not None and signal.maximum is not None, f"{signal.name} has no range"
    lowest, highest = (round((limit - offset) / scale) for limit in (signal.minimum, signal.maximum))
    codes = frozenset(signal.choices) if signal.choices and is_command else None
    return _Signal(
        scale=scale,
        offset=offset,
        minimum=signal.minimum,
        maximum=signal.maximum,
        lowest=lowest,
        highest=highest,
        codes=codes,
        is_code=unit == "" and scale == 1,
        in_degrees=unit == "deg",
        expected=(
            f"{signal.minimum:g} to {signal.maximum:g} {unit}".rstrip()
            if codes is None
            else f"one of {', '.join(f'{code * scale:g}' for code in sorted(codes))} {unit}".rstrip()
        ),
        unit=unit,
    )


def _entry(message: Message) -> _Entry:
    is_command = "Host" in message.senders
    signals = {signal.name: _signal(signal, is_command) for signal in message.signals}
    zeros = {name: round(-signal.offset / signal.scale) for name, signal in signals.items()}
    return _Entry(
        message=message,
        signals=signals,
        degree_signals=tuple(name for name, signal in signals.items() if signal.in_degrees),
        zeros=zeros,
        required=tuple(name for name, signal in signals.items() if not signal.allows(0.0, zeros[name])),
    )


DATABASE: Final = load_database()
_ENTRIES: Final = {message.frame_id: _entry(message) for message in DATABASE.messages}

COMMANDS: Final = frozenset(
    message.frame_id for message in DATABASE.messages if "Host" in message.senders and message.frame_id != FIRMWARE
)
"""Ids of the frames that tell an arm what to do, all but the request for its firmware version."""


def encode(frame_id: int, values: Mapping[str, float]) -> Frame:
    """The frame `frame_id` with these signal values (SI, rad); a signal that is left out is 0.

    Values go to the nearest count of the wire. Raises `UnknownFrameError` for an id or a name that the DBC lacks and
    `ValueOutOfRangeError` for a value that is not finite or not in the signal's range, 0 for one left out included.
    """
    entry = _ENTRIES.get(frame_id)
    if entry is None:
        raise UnknownFrameError(f"no frame 0x{frame_id:03X} in piper.dbc; add it there to send it")
    for name in values:
        if name not in entry.signals:
            raise UnknownFrameError(
                f"frame 0x{frame_id:03X} {entry.message.name} has no signal {name!r}; it has {', '.join(entry.signals)}"
            )
    counts = entry.zeros | {name: _count(frame_id, name, entry.signals[name], value) for name, value in values.items()}
    for name in entry.required:
        if name not in values:
            raise _out_of_range(frame_id, name, entry.signals[name], 0)
    return Frame(frame_id, entry.message.encode(counts, scaling=False, strict=False))


def _count(frame_id: int, name: str, signal: _Signal, value: float) -> int:
    """The value as the number that goes on the wire, after the range check."""
    wire = math.degrees(value) if signal.in_degrees else value
    if not math.isfinite(wire) or (signal.is_code and wire != round(wire)):
        raise _out_of_range(frame_id, name, signal, wire)
    count = round((wire - signal.offset) / signal.scale)
    if not signal.allows(wire, count):
        raise _out_of_range(frame_id, name, signal, wire)
    return count


def _out_of_range(frame_id: int, name: str, signal: _Signal, wire: float) -> ValueOutOfRangeError:
    text = f"{wire:g} {signal.unit}".rstrip()
    return ValueOutOfRangeError(
        f"{name} of frame 0x{frame_id:03X} is {text}; expected {signal.expected}; nothing was sent"
    )


def decode(frame_id: int, data: bytes | bytearray) -> dict[str, float]:
    """Signal values (SI, rad) of a received frame by their names in the DBC.

    Raises `UnknownFrameError` for an id that the DBC lacks and `BadFrameError` for data that is not eight bytes.
    """
    entry = _ENTRIES.get(frame_id)
    if entry is None:
        raise UnknownFrameError(f"no frame 0x{frame_id:03X} in piper.dbc")
    if len(data) != FRAME_BYTES:
        raise BadFrameError(wrong_length(frame_id, data))
    values: dict[str, float] = entry.message.decode(bytes(data), decode_choices=False)  # type: ignore[assignment]
    for name in entry.degree_signals:
        values[name] = math.radians(values[name])
    return values


def wrong_length(frame_id: int, data: bytes | bytearray) -> str:
    """The text of the error about a known frame that is not eight bytes long."""
    return (
        f"frame 0x{frame_id:03X} {_ENTRIES[frame_id].message.name} has {len(data)} bytes; expected {FRAME_BYTES}; "
        "is something else on this bus using Piper ids?"
    )


def encode_pairs(frame_ids: Sequence[int], names: Sequence[str], values: Sequence[float]) -> list[Frame]:
    """Frames that carry two values each, in order: joint targets, joint feedback, end pose.

    `names` and `values` hold two items for each id. Raises as `encode`, before any frame is made.
    """
    if len(values) != 2 * len(frame_ids):
        raise ValueOutOfRangeError(f"got {len(values)} values; expected {2 * len(frame_ids)}: {', '.join(names)}")
    return [
        encode(frame_id, {names[2 * i]: values[2 * i], names[2 * i + 1]: values[2 * i + 1]})
        for i, frame_id in enumerate(frame_ids)
    ]


JOINT_SIGNALS: Final = ("Joint1", "Joint2", "Joint3", "Joint4", "Joint5", "Joint6")
_CHARACTERS: Final = tuple(f"Character{i}" for i in range(1, FRAME_BYTES + 1))
END_POSE_SIGNALS: Final = ("X", "Y", "Z", "RX", "RY", "RZ")


def encode_joint_targets(q_rad: Sequence[float]) -> list[Frame]:
    """The three frames 0x155-0x157 for six joint angles in rad; raises if one is outside the firmware limits."""
    return encode_pairs(JOINT_TARGETS, JOINT_SIGNALS, q_rad)


def encode_payload(data: bytes) -> Frame:
    """A 0x4AF frame with these eight bytes."""
    return encode(FIRMWARE, dict(zip(_CHARACTERS, data, strict=True)))


def decode_payload(data: bytes | bytearray) -> bytes:
    """The eight bytes of a 0x4AF frame."""
    return bytes(int(value) for value in decode(FIRMWARE, data).values())
