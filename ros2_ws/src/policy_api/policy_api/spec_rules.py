"""The rules that a contract must keep."""

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from piper_description import ARM_JOINT_NAMES, GRIPPER_JOINT_NAME

from policy_api.errors import InvalidSpec

if TYPE_CHECKING:
    from policy_api.schema import CameraSpec, FieldSpec, PolicySpec

STATE_UNITS = {**dict.fromkeys(ARM_JOINT_NAMES, "rad"), GRIPPER_JOINT_NAME: "m"}
"""Name -> unit of one arm's state, in order."""

ACTION_SPACES = {
    "ee_delta_position": {"dx": "m", "dy": "m", "dz": "m", "gripper": "m"},
    "joint_position": STATE_UNITS,
}
"""Action space -> name -> unit of its fields for one arm, in order."""

TWO_ARMS = ("left_", "right_")
"""What stands before every field's name where there are two arms; the left one's come first."""

BODY_AXES = ("x", "y", "z")
"""Behind the joints a state may have the places of bodies, "<body>_x" to "<body>_z" in m: privileged, known only in
simulation."""

FIRMWARE_ZEROS = ("current", "legacy")
MAX_IMAGE_SIDE = 4096
MAX_HORIZON = 1000
MAX_DEPTH_M = 65.535
"""What 16 bits of millimetres can say."""


def check_spec(spec: "PolicySpec") -> None:
    """Raise InvalidSpec, naming the field with its dotted path, if the contract makes no sense."""
    _known("action_space", spec.action_space, ACTION_SPACES)
    _known("firmware_zero", spec.firmware_zero, FIRMWARE_ZEROS)
    for name in ("model", "task"):
        if not getattr(spec, name).strip():
            raise InvalidSpec(f"{name}: empty; name it")
    two_arms = bool(spec.state) and spec.state[0].name.startswith(TWO_ARMS[0])
    joints = _of_arms(STATE_UNITS, two_arms)
    _check_fields("state", spec.state, joints | _of_bodies(spec.state[len(joints) :]))
    _check_fields("action", spec.action, _of_arms(ACTION_SPACES[spec.action_space], two_arms))
    if not spec.cameras and len(spec.state) == len(joints):
        raise InvalidSpec("cameras: none; a policy that is not told where bodies are needs at least one")
    for i, camera in enumerate(spec.cameras):
        _check_camera(f"cameras[{i}]", camera)
        if camera.name in {other.name for other in spec.cameras[:i]}:
            raise InvalidSpec(f"cameras[{i}].name: {camera.name!r} is used twice")
    _within("horizon", spec.horizon, 1, MAX_HORIZON)
    _within("dt_s", spec.dt_s, 1e-3, 10.0)
    _within("settle_s", spec.settle_s, 0.0, 10.0)


def _of_arms(units: dict[str, str], two_arms: bool) -> dict[str, str]:
    return {arm + name: unit for arm in TWO_ARMS for name, unit in units.items()} if two_arms else units


def _of_bodies(fields: "Sequence[FieldSpec]") -> dict[str, str]:
    """Name -> unit that fields behind the joints must have, judged by the first of every three."""
    bodies = [field.name.removesuffix("_" + BODY_AXES[0]) for field in fields[:: len(BODY_AXES)]]
    return {f"{body}_{axis}": "m" for body in bodies for axis in BODY_AXES}


def _check_fields(path: str, fields: "Sequence[FieldSpec]", units: dict[str, str]) -> None:
    names = [field.name for field in fields]
    if names != list(units):
        raise InvalidSpec(f"{path}: fields are {names}, expected {list(units)} in this order")
    for i, field in enumerate(fields):
        if field.unit != units[field.name]:
            raise InvalidSpec(f"{path}[{i}].unit: got {field.unit!r}, {field.name} is in {units[field.name]!r}")
        if not (math.isfinite(field.lower) and math.isfinite(field.upper) and field.lower < field.upper):
            raise InvalidSpec(
                f"{path}[{i}].lower: {field.name} has the range {field.lower}..{field.upper}; "
                "it must be finite and lower < upper"
            )


def _check_camera(path: str, camera: "CameraSpec") -> None:
    if not camera.name.isidentifier():
        raise InvalidSpec(f"{path}.name: {camera.name!r}; letters, digits and _ only (it is in a topic name)")
    _within(f"{path}.width", camera.width, 16, MAX_IMAGE_SIDE)
    _within(f"{path}.height", camera.height, 16, MAX_IMAGE_SIDE)
    _within(f"{path}.input_size", camera.input_size, 8, min(camera.width, camera.height))
    _within(f"{path}.jpeg_quality", camera.jpeg_quality, 1, 100)
    if camera.depth is not None:
        _within(f"{path}.depth.far", camera.depth.far, 1e-3, MAX_DEPTH_M)
        _within(f"{path}.depth.near", camera.depth.near, 0.0, camera.depth.far - 1e-3)


def _known(path: str, value: str, known: Iterable[str]) -> None:
    if value not in known:
        raise InvalidSpec(f"{path}: {value!r} is unknown; known are {', '.join(known)}")


def _within(path: str, value: float, lower: float, upper: float) -> None:
    if not lower <= value <= upper:
        raise InvalidSpec(f"{path}: {value} is outside {lower:g}..{upper:g}")
