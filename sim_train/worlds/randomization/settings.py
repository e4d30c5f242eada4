"""A `Randomization` from plain values: a preset, a YAML file, a mapping; and centred on a measured rig."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from sim_train.worlds.randomization.distributions import distribution_from_plain
from sim_train.worlds.randomization.quantities import GROUPS, CameraQuantities, Group, Randomization, limits

PRESETS_DIR: Final = Path(__file__).resolve().parents[2] / "conf" / "demos" / "randomization"
ABSOLUTE: Final = {"x_m": (-5.0, 5.0), "y_m": (-5.0, 5.0), "z_m": (-5.0, 5.0), "fovy_deg": (5.0, 150.0)}
"""Camera values that a rig gives as they are, not as deviations from the scene's; and what they may be."""


def presets() -> list[str]:
    """Names of the presets in `sim_train/conf/demos/randomization`."""
    return sorted(path.stem for path in PRESETS_DIR.glob("*.yaml"))


def load_randomization(name: str) -> Randomization:
    """The preset called `name`, or the one in the YAML file `name`. ValueError says what is wrong with it."""
    path = PRESETS_DIR / f"{name}.yaml" if name in presets() else Path(name)
    if not path.is_file():
        raise ValueError(f"no randomization {name!r}: expected a YAML file or one of {', '.join(presets())}")
    return randomization_from_plain(_read_mapping(path), "randomization")


def randomization_from_plain(plain: Mapping[str, Any], path: str = "randomization") -> Randomization:
    """The randomization that plain values mean, in the structure of `Randomization`.

    `cameras.<name>` starts from `camera`. `rig` is a mapping for `centred`, or the path of a YAML file with one, and
    `rig_spread` how wide distributions stay about what was measured (default 1). Raises ValueError that names the
    dotted path of what is wrong.
    """
    groups, known = {}, [*GROUPS, "cameras", "rig", "rig_spread"]
    if unknown := sorted(plain.keys() - set(known)):
        raise ValueError(f"{path}.{unknown[0]} is unknown; known are {', '.join(known)}")
    for name, kind in GROUPS.items():
        groups[name] = _group(kind(), plain.get(name), f"{path}.{name}")
    cameras = {
        str(name): _group(groups["camera"], values, f"{path}.cameras.{name}")
        for name, values in _mapping(plain.get("cameras"), f"{path}.cameras").items()
    }
    made = Randomization(**groups, cameras=cameras)  # type: ignore[arg-type]
    rig, spread = plain.get("rig"), plain.get("rig_spread", 1.0)
    if rig is None:
        return made
    if not isinstance(spread, int | float) or isinstance(spread, bool) or not 0 <= spread <= 1:
        raise ValueError(f"{path}.rig_spread must be a number from 0 to 1; got {spread!r}")
    return centred(made, _read_mapping(Path(rig)) if isinstance(rig, str) else _mapping(rig, f"{path}.rig"), spread)


def centred(randomization: Randomization, rig: Mapping[str, Any], spread: float = 1.0) -> Randomization:
    """The same about the values of a measured `rig`, each distribution that was measured `spread` times as wide.

    Keys are `<group>.<quantity>`, such as `command.delay_s`, or `<camera>.<quantity>`, such as `front.fovy_deg`, also
    nested. A camera's `x_m`, `y_m`, `z_m` (in the frame of its mount) and `fovy_deg` are what was measured, everything
    else means what the quantity means. Raises ValueError for an unknown key or a value that is no number.
    """
    groups: dict[str, Group] = {name: getattr(randomization, name) for name in GROUPS}
    cameras: dict[str, Group] = dict(randomization.cameras)
    measured = {camera: dict(values) for camera, values in randomization.measured.items()}
    for key, value in _flat(rig).items():
        owner, _, name = key.partition(".")
        kind = GROUPS.get(owner, CameraQuantities)
        if name not in limits(kind):
            raise ValueError(
                f"rig value {key!r} is unknown; expected <group>.<quantity> or <camera>.<quantity>, "
                f"where {owner!r} would have {', '.join(limits(kind))}"
            )
        if owner in GROUPS:
            groups[owner] = _moved(groups[owner], name, value, spread, key)
            continue
        start = cameras.get(owner, randomization.camera)
        if name in ABSOLUTE:
            low, high = ABSOLUTE[name]
            if not low <= value <= high:
                raise ValueError(f"rig value {key} = {value:g} must lie within {low:g}..{high:g}")
            measured.setdefault(owner, {})[name] = value
            cameras[owner] = _moved(start, name, 0.0, spread, key)
        else:
            cameras[owner] = _moved(start, name, value, spread, key)
    return Randomization(**groups, cameras=cameras, measured=measured)  # type: ignore[arg-type]


def _moved(group: Group, name: str, value: float, spread: float, key: str) -> Group:
    low, high = limits(type(group))[name]
    if not low <= value <= high:
        raise ValueError(f"rig value {key} = {value:g} must lie within {low:g}..{high:g}")
    try:
        moved = getattr(group, name).centred(value, spread).limited(low, high)
    except ValueError as error:
        raise ValueError(f"rig value {key}: {error}") from error
    return dataclasses.replace(group, **{name: moved})  # type: ignore[type-var]


def _group(start: Group, plain: Any, path: str) -> Group:  # noqa: ANN401 - parsed YAML
    values = _mapping(plain, path)
    known = limits(type(start))
    if unknown := sorted(values.keys() - known.keys()):
        raise ValueError(f"{path}.{unknown[0]} is unknown; known are {', '.join(known)}")
    made = {name: distribution_from_plain(value, f"{path}.{name}") for name, value in values.items()}
    try:
        return dataclasses.replace(start, **made)  # type: ignore[type-var]
    except ValueError as error:
        raise ValueError(f"{path}.{error}") from error


def _mapping(plain: Any, path: str) -> Mapping[str, Any]:  # noqa: ANN401 - parsed YAML
    if plain is None:
        return {}
    if not isinstance(plain, Mapping):
        raise ValueError(f"{path} must be a mapping; got {plain!r}")
    return plain


def _flat(rig: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    flat: dict[str, float] = {}
    for name, value in rig.items():
        key = f"{prefix}{name}"
        if isinstance(value, Mapping):
            flat.update(_flat(value, key + "."))
        elif isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"rig value {key} must be a number; got {value!r}")
        else:
            flat[key] = float(value)
    return flat


def _read_mapping(path: Path) -> Mapping[str, Any]:
    try:
        return _mapping(yaml.safe_load(path.read_text(encoding="utf-8")), str(path))
    except (OSError, yaml.YAMLError) as error:
        raise ValueError(f"cannot read {path}: {error}") from error
