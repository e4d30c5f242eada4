"""Messages that nobody should send, drawn by hypothesis.

A recipe makes the bytes of a request from one that the server would take: so that a fuzzed message can carry a live
session and get past the first check.
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

Recipe: TypeAlias = Callable[[Message], bytes]

MARKER_NAME = "policy_server_ran_a_pickle"

_INTEGERS = {
    FieldDescriptor.TYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.TYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_UINT64: (0, 2**64 - 1),
    FieldDescriptor.TYPE_INT64: (-(2**63), 2**63 - 1),
}
_TEXT = st.one_of(
    st.sampled_from(["", "state", "stable", "..", "../../secret", "\x00", "/", "x" * 5000, "0" * 64, "🤖" * 40]),
    st.text(max_size=30),
)
_BYTES = st.one_of(
    st.binary(max_size=300),
    st.sampled_from([b"\xff\xd8\xff\xd9", b"\xff\xd8\xff\xe0" + bytes(2000), b"\x89PNG\r\n\x1a\n" + b"\xff" * 60]),
    st.integers(0, 200_000).map(bytes),
)

_IS_SET, _COUNT, _KEYS = st.booleans(), st.integers(0, 3), st.lists(_TEXT, max_size=3)
_PLAIN_PICKLES = [b"\x80\x02}q\x00X\x05\x00\x00\x00stateq\x01]q\x02s.", b"\x80\x04\x95\x02\0\0\0\0\0\0\0]\x94.", b"N."]


def pickle_that_writes(marker: Path) -> bytes:
    """Bytes that create the file `marker` if anybody unpickles them: protocol 0, `pathlib.Path(marker).touch()`."""
    text = str(marker).encode()
    make = b"cpathlib\nPath\n(S'" + text + b"'\ntR"
    return b"cbuiltins\ngetattr\n(" + make + b"S'touch'\ntR(tR."


def pickles(marker: Path) -> SearchStrategy[bytes]:
    """Pickles: one that would run code, and plain ones of protocols 2 to 4 as robots of other makes send them."""
    attack = pickle_that_writes(marker)
    plain = [
        b"\x80\x02}q\x00X\x05\x00\x00\x00stateq\x01]q\x02s.",
        b"\x80\x04\x95\x05\x00\x00\x00\x00\x00\x00\x00]\x94.",
        b"N.",
    ]
    return st.one_of(
        st.just(attack),
        st.sampled_from(plain),
        st.tuples(st.just(b"\x80\x04"), st.binary(max_size=60), st.just(attack)).map(b"".join),
    )


def recipes(kind: type[Message], marker: Path) -> SearchStrategy[Recipe]:
    """Recipes for one kind of request; a quarter each: raw bytes and pickles, damaged, made up, half made up."""
    raw = st.one_of(st.binary(max_size=400), pickles(marker)).map(lambda data: lambda valid: data)
    damaged = st.tuples(
        st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=6),
        st.floats(0, 1),
        st.binary(max_size=20),
    ).map(lambda drawn: lambda valid: _damage(valid.SerializeToString(), *drawn))
    made_up = messages(kind).map(lambda message: lambda valid: message.SerializeToString())
    half = st.tuples(
        messages(kind), st.sets(st.sampled_from([f.name for f in kind.DESCRIPTOR.fields] or [""]), max_size=3)
    )
    return st.one_of(raw, damaged, made_up, half.map(lambda drawn: lambda valid: _mixed(valid, *drawn)))


@st.composite
def messages(draw: st.DrawFn, kind: type[Message]) -> Message:
    """Well-formed messages of a kind with any values in any fields."""
    message = kind()
    _fill(message, draw)
    return message


def _fill(message: Any, draw: st.DrawFn) -> None:  # noqa: ANN401 - a message of any kind
    for field in message.DESCRIPTOR.fields:
        if not draw(_IS_SET):
            continue
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            for key in draw(_KEYS):
                _fill(getattr(message, field.name)[key], draw)
        elif field.message_type is not None and field.is_repeated:
            for _ in range(draw(_COUNT)):
                _fill(getattr(message, field.name).add(), draw)
        elif field.message_type is not None:
            getattr(message, field.name).SetInParent()
            _fill(getattr(message, field.name), draw)
        elif field.is_repeated:
            getattr(message, field.name).extend(draw(_lists(field)))
        else:
            setattr(message, field.name, draw(_values(field)))


@cache  # a strategy is dear to make and cheap to draw from
def _lists(field: FieldDescriptor) -> SearchStrategy[list[Any]]:
    return st.lists(_values(field), max_size=5)


@cache
def _values(field: FieldDescriptor) -> SearchStrategy[Any]:
    if field.type in _INTEGERS:
        low, high = _INTEGERS[field.type]
        return st.one_of(st.sampled_from([low, high, 0, 1, 2]), st.integers(low, high))
    if field.enum_type is not None:
        return st.sampled_from([*(value.number for value in field.enum_type.values), 99, -1])
    if field.type in (FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT):
        return st.floats(width=64 if field.type == FieldDescriptor.TYPE_DOUBLE else 32)
    return {FieldDescriptor.TYPE_BOOL: st.booleans(), FieldDescriptor.TYPE_BYTES: _BYTES}.get(field.type, _TEXT)


def _damage(data: bytes, flips: list[tuple[float, int]], keep: float, tail: bytes) -> bytes:
    """Change some bytes, cut the end off (every second time) and put a tail on."""
    damaged = bytearray(data)
    for place, value in flips:
        if damaged:
            damaged[int(place * len(damaged))] = value
    return bytes(damaged if keep < 0.5 else damaged[: int((keep - 0.5) * 2 * len(damaged))]) + tail


def _mixed(valid: Message, other: Message, names: set[str]) -> bytes:
    """The valid message with some of its fields, as `names` says, as in the other one."""
    mixed = type(valid)()
    mixed.CopyFrom(valid)
    for name in names - {""}:
        mixed.ClearField(name)
        only = type(valid)()
        only.CopyFrom(other)
        for field in type(valid).DESCRIPTOR.fields:
            if field.name != name:
                only.ClearField(field.name)
        mixed.MergeFrom(only)
    return mixed.SerializeToString()
