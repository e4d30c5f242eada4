"""What a rig file says about its cameras: which device is which, the mode of its stream, and its lens.

A rig file is YAML, in `calibration/rigs/`. Of all it holds, this reads `cameras`:

    cameras:
      front:
        serial: "213622074451"       # of the RealSense; or as the source wants it, see cameras.source.SOURCES
        width: 640                   # pixels
        height: 480
        fps: 30
        intrinsics:                  # optional: what was measured, instead of what the device says
          {fx: 607.1, fy: 606.8, cx: 321.2, cy: 243.9, distortion_model: plumb_bob, coefficients: [0, 0, 0, 0, 0]}
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from cameras.frames import Intrinsics

COEFFICIENTS: Final = {"plumb_bob": 5, "rational_polynomial": 8, "equidistant": 4}
"""ROS's distortion models, and how many coefficients each has."""

_CAMERA_KEYS: Final = ("serial", "width", "height", "fps")
_INTRINSICS_KEYS: Final = ("fx", "fy", "cx", "cy", "distortion_model", "coefficients")


class RigError(ValueError):
    """The rig file can't be used; the text says where and what to change."""


@dataclass(frozen=True)
class RigCamera:
    """One camera of a rig: pixels, frames per second; `intrinsics` is None if its lens was not measured."""

    serial: str
    width: int
    height: int
    fps: int
    intrinsics: Intrinsics | None


def load_rig_cameras(path: str) -> dict[str, RigCamera]:
    """Read the cameras of a rig file, by name. RigError names the file, the key, what it is and what is expected."""
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RigError(f"rig file {path} can't be read: {error}") from error
    if not isinstance(content, dict) or "cameras" not in content:
        raise RigError(f"rig file {path} has no key cameras; expected cameras.<name>.{{{', '.join(_CAMERA_KEYS)}}}")
    entries = _mapping(content["cameras"], f"{path}: cameras")
    cameras = {str(name): _camera(entry, f"{path}: cameras.{name}") for name, entry in entries.items()}
    owners: dict[str, str] = {}
    for name, camera in cameras.items():
        if (other := owners.setdefault(camera.serial, name)) != name:
            raise RigError(f"{path}: cameras {other} and {name} have the same serial {camera.serial}; each is a device")
    return cameras


def camera_of(cameras: Mapping[str, RigCamera], name: str, serial: str, path: str) -> RigCamera:
    """The rig's camera `name`; RigError if it has none, or if `serial` (where one was given) is not that camera's."""
    if name not in cameras:
        raise RigError(f"{path} has no camera {name!r}; it has {', '.join(cameras) or 'none'}")
    camera = cameras[name]
    if not serial or serial == camera.serial:
        return camera
    for other, candidate in cameras.items():
        if candidate.serial == serial:
            raise RigError(
                f"cameras are swapped: parameter serial of camera {name} is {serial}, which is camera {other} in "
                f"{path}; camera {name} is {camera.serial} there"
            )
    raise RigError(
        f"parameter serial of camera {name} is {serial}, but {path} says {camera.serial}; leave the parameter out, or "
        "calibrate the new camera"
    )


def _camera(value: object, where: str) -> RigCamera:
    entry = _mapping(value, where)
    _check_keys(entry, _CAMERA_KEYS, ("intrinsics",), where)
    serial = entry["serial"]
    if not isinstance(serial, str) or not serial:
        raise RigError(f'{where}.serial is {serial!r}; expected text: put the number into quotes, "{serial}"')
    width, height, fps = (_count(entry[key], f"{where}.{key}") for key in ("width", "height", "fps"))
    intrinsics = None
    if "intrinsics" in entry:
        intrinsics = _intrinsics(entry["intrinsics"], width, height, f"{where}.intrinsics")
    return RigCamera(serial, width, height, fps, intrinsics)


def _intrinsics(value: object, width: int, height: int, where: str) -> Intrinsics:
    entry = _mapping(value, where)
    _check_keys(entry, _INTRINSICS_KEYS, (), where)
    fx, fy, cx, cy = (_number(entry[key], f"{where}.{key}") for key in ("fx", "fy", "cx", "cy"))
    for key, length in (("fx", fx), ("fy", fy)):
        if length <= 0:
            raise RigError(f"{where}.{key} is {length:g}; expected a focal length in pixels, above 0")
    for key, centre, size in (("cx", cx, width), ("cy", cy, height)):
        if not 0 <= centre <= size:
            raise RigError(f"{where}.{key} is {centre:g}; expected pixels within the picture, 0..{size}")
    model, coefficients = entry["distortion_model"], entry["coefficients"]
    if model not in COEFFICIENTS:
        raise RigError(f"{where}.distortion_model is {model!r}; known are {', '.join(COEFFICIENTS)}")
    if not isinstance(coefficients, list) or len(coefficients) != COEFFICIENTS[model]:
        raise RigError(f"{where}.coefficients is {coefficients!r}; {model} has a list of {COEFFICIENTS[model]}")
    numbers = tuple(_number(c, f"{where}.coefficients[{k}]") for k, c in enumerate(coefficients))
    return Intrinsics(width, height, fx, fy, cx, cy, model, numbers)


def _mapping(value: object, where: str) -> dict[Any, Any]:
    if not isinstance(value, dict):
        raise RigError(f"{where} is {value!r}; expected a mapping")
    return value


def _check_keys(entry: dict[Any, Any], required: tuple[str, ...], optional: tuple[str, ...], where: str) -> None:
    known = (*required, *optional)
    if unknown := [key for key in entry if key not in known]:
        raise RigError(f"{where} has unknown keys {unknown}; known are {', '.join(known)}")
    if missing := [key for key in required if key not in entry]:
        raise RigError(f"{where} lacks {', '.join(missing)}")


def _count(value: object, where: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
        raise RigError(f"{where} is {value!r}; expected a whole number above 0")
    return value


def _number(value: object, where: str) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise RigError(f"{where} is {value!r}; expected a finite number")
    return float(value)
