"""Strict, canonical JSON for the contract's dataclasses.

A field that may be None is left out when it is, so that a contract without it reads, and hashes, as it always did.
"""

import dataclasses
import json
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from policy_api.errors import InvalidSpec

T = TypeVar("T")


def to_plain(value: Any) -> Any:  # noqa: ANN401 - any dataclass of str, int, float and tuples of dataclasses
    """Dataclass -> dict of plain values. Numbers take their declared type, so 1 and 1.0 read alike."""
    if not dataclasses.is_dataclass(value):
        return value
    plain: dict[str, Any] = {}
    for name, kind in get_type_hints(type(value)).items():
        item = getattr(value, name)
        if _optional(kind):
            if item is not None:
                plain[name] = to_plain(item)
        elif kind is float:
            plain[name] = float(item) + 0.0  # -0.0 and 0.0 are one number
        elif kind is int:
            plain[name] = int(item)
        elif get_origin(kind) is tuple:
            plain[name] = [to_plain(element) for element in item]
        else:
            plain[name] = item
    return plain


def canonical(plain: dict[str, Any]) -> str:
    """One spelling for one content: sorted keys, no spaces, no NaN."""
    return json.dumps(plain, sort_keys=True, separators=(",", ":"), allow_nan=False)


def from_plain(kind: type[T], data: Any, path: str = "") -> T:  # noqa: ANN401 - parsed JSON
    """Dict of plain values -> dataclass; unknown, missing and mistyped keys are refused by dotted name."""
    if not isinstance(data, dict):
        raise InvalidSpec(f"{path or 'contract'}: expected an object, got {type(data).__name__}")
    prefix = f"{path}." if path else ""
    hints = get_type_hints(kind)
    for name in data:
        if name not in hints:
            raise InvalidSpec(f"{prefix}{name}: unknown field; known are {', '.join(hints)}")
    for name, hint in hints.items():
        if name not in data and not _optional(hint):
            raise InvalidSpec(f"{prefix}{name}: missing")
    return kind(**{name: _value(hint, data[name], prefix + name) for name, hint in hints.items() if name in data})


def _optional(kind: Any) -> bool:  # noqa: ANN401 - a type hint
    """Whether a field is a dataclass or None; other fields are never None."""
    return get_origin(kind) is UnionType


def _value(kind: Any, item: Any, path: str) -> Any:  # noqa: ANN401 - a type hint and parsed JSON
    if _optional(kind):
        return from_plain(get_args(kind)[0], item, path)
    if get_origin(kind) is tuple:
        if not isinstance(item, list):
            raise InvalidSpec(f"{path}: expected a list, got {type(item).__name__}")
        return tuple(from_plain(get_args(kind)[0], element, f"{path}[{i}]") for i, element in enumerate(item))
    is_number = isinstance(item, (int, float)) and not isinstance(item, bool)
    if kind is float and is_number:
        return float(item)
    if kind is int and is_number and float(item).is_integer():
        return int(item)
    if kind is str and isinstance(item, str):
        return item
    raise InvalidSpec(f"{path}: expected {kind.__name__}, got {item!r}")


def difference(a: Any, b: Any, path: str = "") -> str | None:  # noqa: ANN401 - two plain values
    """Where two plain values of one dataclass first differ: dotted name and both values; None if equal."""
    if isinstance(a, dict) and isinstance(b, dict):
        pairs = [(f"{path}.{key}" if path else key, a.get(key), b.get(key)) for key in {**a, **b}]
    elif isinstance(a, list) and isinstance(b, list):
        if len(a) != len(b):
            return f"{path}: {len(a)} entries against {len(b)}"
        pairs = [(f"{path}[{i}]", x, y) for i, (x, y) in enumerate(zip(a, b, strict=True))]
    else:
        return None if a == b else f"{path}: {a!r} against {b!r}"
    return next((found for name, x, y in pairs if (found := difference(x, y, name))), None)
