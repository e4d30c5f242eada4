"""Dataclasses from plain values, as YAML and JSON give them, with errors that name the dotted path of what is wrong."""

from __future__ import annotations

import dataclasses
import difflib
import types
from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

Built = TypeVar("Built")


class ConfigError(ValueError):
    """A configuration that cannot be run; the text says what to change."""


def build(kind: type[Built], plain: Mapping[str, Any], path: str = "") -> Built:
    """The dataclass `kind` of plain values; fields that are not given keep their defaults.

    Args:
        kind: a dataclass of numbers, texts, switches, `Literal`s, lists, tuples, mappings and other dataclasses.
        plain: its fields.
        path: dotted path of the whole, ending in a dot, for errors.

    Raises:
        ConfigError: a field is unknown (with the nearest known one), missing or of the wrong type.
    """
    hints = get_type_hints(kind)
    if unknown := sorted(str(name) for name in plain.keys() - hints.keys()):
        raise ConfigError(
            f"unknown setting {path}{unknown[0]}{did_you_mean(unknown[0], hints)}; known here are {', '.join(hints)}"
        )
    needed = [
        f.name
        for f in dataclasses.fields(kind)  # type: ignore[arg-type]
        if f.default is f.default_factory is dataclasses.MISSING and f.name not in plain
    ]
    if needed:
        raise ConfigError(f"{path}{needed[0]} is missing; it must be given")
    try:
        return kind(**{name: _value(hints[name], value, path + name) for name, value in plain.items()})
    except ConfigError:
        raise
    except ValueError as error:  # the dataclass itself refuses
        raise ConfigError(f"{path.rstrip('.') or 'settings'}: {error}") from error


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """` (did you mean ...?)` if one of the known names is near, else nothing."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f" (did you mean {near[0]}?)" if near else ""


def _value(kind: Any, value: Any, path: str) -> Any:  # noqa: ANN401 - a type hint and parsed YAML
    if kind is Any:
        return value
    if dataclasses.is_dataclass(kind) and isinstance(kind, type) and isinstance(value, Mapping):
        return build(kind, value, path + ".")
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return _one_of(inner, value, path)
    if origin is Literal:
        if value in inner:
            return value
        near = did_you_mean(str(value), [str(item) for item in inner])
        raise ConfigError(f"{path} must be one of {', '.join(map(str, inner))}{near}; got {value!r}")
    if isinstance(origin, type) and issubclass(dict, origin) and isinstance(value, Mapping):
        return {str(key): _value(inner[1], item, f"{path}.{key}") for key, item in value.items()}
    if origin in (list, tuple) and isinstance(value, (list, tuple)):
        kinds = inner if origin is tuple and inner[-1] is not ... else (inner[0],) * len(value)
        if len(kinds) != len(value):
            raise ConfigError(f"{path} needs {len(kinds)} values; got {list(value)}")
        return origin(_value(each, item, f"{path}[{i}]") for i, (each, item) in enumerate(zip(kinds, value)))  # noqa: B905 - as long as each other
    if kind is float and type(value) in (int, float):
        return float(value)
    if kind in (int, bool, str, type(None)) and type(value) is kind:
        return value
    raise ConfigError(f"{path} must be of type {_named(kind)}; got {value!r}")


def _one_of(kinds: tuple[Any, ...], value: Any, path: str) -> Any:  # noqa: ANN401 - see `_value`
    for kind in kinds:
        try:
            return _value(kind, value, path)
        except ConfigError:  # noqa: PERF203 - few kinds
            if dataclasses.is_dataclass(kind) and isinstance(value, Mapping):
                raise  # what is wrong inside says more
    raise ConfigError(f"{path} must be of type {' or '.join(map(_named, kinds))}; got {value!r}")


def _named(kind: Any) -> str:  # noqa: ANN401 - a type hint
    if kind is type(None):
        return "null"
    return kind.__name__ if isinstance(kind, type) and not get_args(kind) else str(kind)
