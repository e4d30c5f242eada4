"""Frames of the Piper protocol to and from SI values, through `piper.dbc` and cantools.

Angles are radians here and degrees in the DBC; every other signal is SI in both. A value that does not fit its signal
raises; nothing wraps and nothing is clamped.
"""

import math
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Final, NamedTuple

import cantools
from cantools.database.can import Database, Message

from piper_can.errors import BadFrameError, UnknownFrameError, ValueOutOfRangeError

STOP_COMMAND: Final = 0x150
MODE_COMMAND: Final = 0x151
JOINT_TARGETS: Final = (0x155, 0x156, 0x157)
GRIPPER_COMMAND: Final = 0x159
ROLE_COMMAND: Final = 0x470
ENABLE_COMMAND: Final = 0x471
FIRMWARE: Final = 0x4AF
ARM_STATUS: Final = 0x2A1
END_POSE: Final = (0x2A2, 0x2A3, 0x2A4)
JOINT_FEEDBACK: Final = (0x2A5, 0x2A6, 0x2A7)
GRIPPER_FEEDBACK: Final = 0x2A8
MOTOR_FAST: Final = (0x251, 0x252, 0x253, 0x254, 0x255, 0x256)
MOTOR_SLOW: Final = (0x261, 0x262, 0x263, 0x264, 0x265, 0x266)

FIRMWARE_REQUEST: Final = bytes([1, 0, 0, 0, 0, 0, 0, 0])
"""Data of a 0x4AF frame that asks the arm for its firmware version; any other data is a piece of the answer."""

FRAME_BYTES: Final = 8


class Frame(NamedTuple):
    """One CAN data frame with an 11-bit id and eight bytes."""

    frame_id: int
    data: bytes


class _Signal(NamedTuple):
    minimum: float
    maximum: float
    unit: str
    digits: int
    in_degrees: bool


class _Entry(NamedTuple):
    message: Message
    signals: dict[str, _Signal]
    degree_signals: tuple[str, ...]


def load_database() -> Database:
    """The protocol as a cantools database (`piper.dbc` beside this file)."""
    text = files("piper_can").joinpath("piper.dbc").read_text(encoding="ascii")
    database = cantools.database.load_string(text, database_format="dbc")
    assert isinstance(database, Database)
    return database


def _entry(message: Message) -> _Entry:
    signals = {
        signal.name: _Signal(
            minimum=float(signal.minimum if signal.minimum is not None else -math.inf),
            maximum=float(signal.maximum if signal.maximum is not None else math.inf),
            unit=signal.unit or "",
            digits=max(0, round(-math.log10(signal.scale))),
            in_degrees=signal.unit == "deg",
        )
        for signal in message.signals
    }
    return _Entry(message, signals, tuple(name for name, signal in signals.items() if signal.in_degrees))


_ENTRIES: Final = {message.frame_id: _entry(message) for message in load_database().messages}


def encode(frame_id: int, values: Mapping[str, float]) -> Frame:
    """The frame `frame_id` with these signal values (SI, rad); a signal that is left out is 0.

    Raises `UnknownFrameError` for an id or a name that the DBC lacks and `ValueOutOfRangeError` for a value that is not
    finite or outside the signal's range.
    """
    entry = _ENTRIES.get(frame_id)
    if entry is None:
        raise UnknownFrameError(f"no frame 0x{frame_id:03X} in piper.dbc; add it there to send it")
    scaled: dict[str, float] = dict.fromkeys(entry.signals, 0)
    for name, value in values.items():
        signal = entry.signals.get(name)
        if signal is None:
            raise UnknownFrameError(
                f"frame 0x{frame_id:03X} {entry.message.name} has no signal {name!r}; it has {', '.join(entry.signals)}"
            )
        scaled[name] = _to_wire_units(frame_id, name, signal, value)
    return Frame(frame_id, entry.message.encode(scaled, strict=False))


def _to_wire_units(frame_id: int, name: str, signal: _Signal, value: float) -> float:
    """The value in the DBC's unit, on the grid of the wire, after the range check."""
    if isinstance(value, int) and not signal.in_degrees:
        wire: float = value  # exact for 64-bit payloads
    elif math.isfinite(value):
        wire = round(math.degrees(value) if signal.in_degrees else float(value), signal.digits)
    else:
        wire = math.nan
    if not signal.minimum <= wire <= signal.maximum:
        raise ValueOutOfRangeError(
            f"{name} of frame 0x{frame_id:03X} is {wire:g} {signal.unit}; "
            f"expected {signal.minimum:g} to {signal.maximum:g} {signal.unit}; nothing was sent"
        )
    return wire


def decode(frame_id: int, data: bytes | bytearray) -> dict[str, float]:
    """Signal values (SI, rad) of a received frame by their names in the DBC.

    Raises `UnknownFrameError` for an id that the DBC lacks and `BadFrameError` for data that is not eight bytes.
    """
    entry = _ENTRIES.get(frame_id)
    if entry is None:
        raise UnknownFrameError(f"no frame 0x{frame_id:03X} in piper.dbc")
    if len(data) != FRAME_BYTES:
        raise BadFrameError(
            f"frame 0x{frame_id:03X} {entry.message.name} has {len(data)} bytes; expected {FRAME_BYTES}; "
            "is something else on this bus using Piper ids?"
        )
    values: dict[str, float] = entry.message.decode(bytes(data), decode_choices=False)  # type: ignore[assignment]
    for name in entry.degree_signals:
        values[name] = math.radians(values[name])
    return values


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
END_POSE_SIGNALS: Final = ("X", "Y", "Z", "RX", "RY", "RZ")


def encode_joint_targets(q_rad: Sequence[float]) -> list[Frame]:
    """The three frames 0x155-0x157 for six joint angles in rad; raises if one is outside the firmware limits."""
    return encode_pairs(JOINT_TARGETS, JOINT_SIGNALS, q_rad)


def encode_payload(data: bytes) -> Frame:
    """A 0x4AF frame with these eight bytes."""
    return encode(FIRMWARE, {"Payload": int.from_bytes(data, "big")})


def decode_payload(data: bytes | bytearray) -> bytes:
    """The eight bytes of a 0x4AF frame."""
    return int(decode(FIRMWARE, data)["Payload"]).to_bytes(FRAME_BYTES, "big")
