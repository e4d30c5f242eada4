"""Rigs: what was measured on one arm and its cameras, in `calibration/rigs/<name>.yaml`.

A rig file is a mapping as `sim_train.worlds.randomization.centred` takes it: `<group>.<quantity>` or
`<camera>.<quantity>`, also nested. Randomization is centred on it. `default` is the nominal rig: nothing was measured.
Its key `cameras`, which device is which and its lens, is for the robot's camera nodes (`cameras.rig`), and left out
here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from sim_train.typed import ConfigError, did_you_mean
from sim_train.worlds.randomization import Randomization, centred

RIGS_DIR: Final = Path(__file__).resolve().parents[1] / "calibration" / "rigs"
NOMINAL: Final = "default"
_OF_CAMERA_NODES: Final = "cameras"


@dataclass(frozen=True)
class Rig:
    """One rig."""

    name: str
    values: Mapping[str, Any]
    """What was measured."""

    @property
    def sha256(self) -> str:
        """Hash of the values; comments and order do not count."""
        return hashlib.sha256(json.dumps(self.values, sort_keys=True).encode()).hexdigest()

    def to_plain(self) -> dict[str, str]:
        """For a record: name and hash."""
        return {"name": self.name, "sha256": self.sha256}


def rig_names(directory: Path = RIGS_DIR) -> list[str]:
    """Names of the rigs that are known."""
    return sorted({NOMINAL, *(path.stem for path in directory.glob("*.yaml"))})


def load_rig(name: str, directory: Path = RIGS_DIR) -> Rig:
    """The rig of that name.

    Raises:
        ConfigError: there is no such rig, its file cannot be read, or it holds what no rig has.
    """
    path = directory / f"{name}.yaml"
    if name not in rig_names(directory):
        known = rig_names(directory)
        raise ConfigError(
            f"there is no rig {name!r}{did_you_mean(name, known)}: expected {path}; known are {', '.join(known)}"
        )
    try:
        values = (yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else None) or {}
    except (OSError, yaml.YAMLError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path} must hold a mapping of measured values; got {values!r}")
    values.pop(_OF_CAMERA_NODES, None)
    try:
        centred(Randomization(), values)
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from error
    return Rig(name, values)
