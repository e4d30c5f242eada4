"""The rules that numbers and frames must keep under a contract."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from policy_api.errors import InvalidActions, InvalidObservation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from policy_api.schema import CameraSpec, Committed, EncodedImage, FieldSpec, PolicySpec

_COLOUR_CODECS = ("jpeg", "png", "rgb8")
_DEPTH_CODECS = ("z16",)

_Refusal = type[InvalidObservation] | type[InvalidActions]


def check_numbers(
    array: NDArray[np.float32], shape: tuple[int, ...], what: str, names: list[str], error: _Refusal
) -> None:
    """Raise `error` unless `array` is float32 of this shape, all finite; `names` are those of its last dimension."""
    if not isinstance(array, np.ndarray) or array.dtype != np.float32:
        raise error(f"{what} must be a float32 array, got {getattr(array, 'dtype', type(array).__name__)}")
    if array.shape != shape:
        raise error(f"{what} has shape {array.shape}; the contract says {shape} ({', '.join(names)})")
    if not np.isfinite(array).all():
        bad = np.argwhere(~np.isfinite(array))[0]
        row = "".join(f"[{i}]" for i in bad[:-1])
        raise error(f"{what}{row}.{names[bad[-1]]} is {array[tuple(bad)]}; it must be a finite number")


def check_ranges(actions: NDArray[np.float32], fields: "Sequence[FieldSpec]", what: str, error: _Refusal) -> None:
    """Raise `error` if a number of (rows, fields) lies outside its declared range."""
    lower = np.array([f.lower for f in fields])
    upper = np.array([f.upper for f in fields])
    rounding = 1e-6 * (upper - lower)  # float32(0.07) is above 0.07
    outside = np.argwhere((actions < lower - rounding) | (actions > upper + rounding))
    if len(outside):
        row, column = outside[0]
        field = fields[column]
        raise error(
            f"{what}[{row}].{field.name} is {actions[row, column]:.6g}; "
            f"the contract allows {field.lower:g}..{field.upper:g} {field.unit}"
        )


def check_committed(committed: "Committed", step: int, spec: "PolicySpec") -> None:
    """Raise InvalidObservation unless the committed actions are actions of the contract, from `step` on."""
    names = [f.name for f in spec.action]
    rows = np.shape(committed.actions)[0] if np.ndim(committed.actions) else 0
    if not 1 <= rows <= spec.horizon:
        raise InvalidObservation(
            f"committed.actions has {rows} rows; 1..{spec.horizon}, the contract's horizon, are taken"
        )
    check_numbers(committed.actions, (rows, len(names)), "committed.actions", names, InvalidObservation)
    check_ranges(committed.actions, spec.action, "committed.actions", InvalidObservation)
    if not 0 <= committed.delay_steps <= rows:
        raise InvalidObservation(
            f"committed.delay_steps is {committed.delay_steps}; of {rows} committed actions 0..{rows} can be executed"
        )
    if committed.first_step != step:
        raise InvalidObservation(
            f"committed.first_step is {committed.first_step}; it must be the observation's step, {step}"
        )


def check_image(camera: "CameraSpec", image: "EncodedImage") -> None:
    """Raise InvalidObservation unless the frame is what the camera should send; pixels are not looked at."""
    codecs = _COLOUR_CODECS if camera.depth is None else _DEPTH_CODECS
    if image.codec not in codecs:
        kind = "colour" if camera.depth is None else "depth"
        raise InvalidObservation(
            f"camera {camera.name!r}: codec {image.codec!r} is not one of {codecs}, which a {kind} camera may send"
        )
    if (image.width, image.height) != (camera.width, camera.height):
        raise InvalidObservation(
            f"camera {camera.name!r}: frame is {image.width}x{image.height}, "
            f"the contract says {camera.width}x{camera.height}; set the camera's stream to that size"
        )
    if not isinstance(image.data, bytes):
        raise InvalidObservation(
            f"camera {camera.name!r}: frame must be bytes, got {type(image.data).__name__}; convert with bytes(...)"
        )
    if not image.data:
        raise InvalidObservation(f"camera {camera.name!r}: frame is empty")
    if image.capture_ns < 0:
        raise InvalidObservation(f"camera {camera.name!r}: capture_ns {image.capture_ns} is negative")
