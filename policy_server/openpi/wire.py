"""openpi's messages: msgpack, with arrays as maps that have the key `__ndarray__`. Nothing in them is executed."""

import math
import re
from typing import Any

import msgpack
import numpy as np
from policy_api.errors import InvalidMessage
from policy_api.schema import MAX_MESSAGE_BYTES

_NUMBERS = re.compile(r"[<>|=]?[biuf][1248]")
"""Types of elements that are taken: booleans, integers and floating-point numbers. Objects are not."""
_MAX_DIMENSIONS = 8
_ARRAY, _SCALAR = b"__ndarray__", b"__npgeneric__"


def pack(message: Any) -> bytes:  # noqa: ANN401 - maps, lists, texts, numbers and arrays
    """Plain values and arrays of numbers -> bytes."""
    return bytes(msgpack.packb(message, default=_packed))


def unpack(data: bytes) -> Any:  # noqa: ANN401 - maps, lists, texts, numbers and arrays
    """Bytes -> plain values and arrays of numbers (read-only).

    Raises:
        InvalidMessage: it is no msgpack, too large, or has anything but plain values and arrays of numbers.
    """
    if len(data) > MAX_MESSAGE_BYTES:
        raise InvalidMessage(f"the message has {len(data)} bytes; at most {MAX_MESSAGE_BYTES} are taken")
    try:
        return msgpack.unpackb(data, object_hook=_unpacked, ext_hook=_no_extension, timestamp=0)
    except InvalidMessage:
        raise
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise InvalidMessage(f"the message is no msgpack as openpi's client sends it ({error})") from error


def _packed(value: Any) -> Any:  # noqa: ANN401 - whatever msgpack does not know
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        return {_ARRAY: True, b"data": value.tobytes(), b"dtype": value.dtype.str, b"shape": value.shape}
    raise TypeError(f"{type(value).__name__} cannot be sent")


def _unpacked(plain: dict[Any, Any]) -> Any:  # noqa: ANN401 - a map, or the array that it stands for
    if _ARRAY in plain:
        return _array(plain)
    if _SCALAR in plain:
        kind = _dtype(plain.get(b"dtype"))
        value = plain.get(b"data")
        if not isinstance(value, (bool, int, float)):
            raise InvalidMessage(f"a numpy scalar holds {type(value).__name__}; only numbers are taken")
        return value if kind.kind == "b" else kind.type(value).item()
    return plain


def _array(plain: dict[Any, Any]) -> np.ndarray[Any, Any]:
    kind, shape, data = _dtype(plain.get(b"dtype")), plain.get(b"shape"), plain.get(b"data")
    if not isinstance(data, bytes) or not isinstance(shape, list) or len(shape) > _MAX_DIMENSIONS:
        raise InvalidMessage("an array needs data (bytes), dtype (text) and shape (at most eight numbers)")
    if any(type(side) is not int or side < 0 for side in shape) or math.prod(shape) * kind.itemsize != len(data):
        raise InvalidMessage(f"an array of shape {shape} and {kind} cannot have {len(data)} bytes")
    return np.frombuffer(data, dtype=kind).reshape(shape)


def _dtype(text: object) -> np.dtype[Any]:
    if not isinstance(text, str) or not _NUMBERS.fullmatch(text):
        raise InvalidMessage(f"dtype {str(text)[:40]!r} is refused; arrays of numbers are taken, objects are not")
    return np.dtype(text)


def _no_extension(code: int, data: bytes) -> Any:  # noqa: ANN401 - raises
    raise InvalidMessage(f"msgpack extension {code} is refused; only plain values and arrays of numbers are taken")
