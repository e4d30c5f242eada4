"""Demonstrations: successful episodes of the scripted expert, in a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from sim_train.rollouts.trajectories import Trajectories


class DatasetError(ValueError):
    """A file of demonstrations that cannot be used; the text names it."""


def save_demonstrations(path: Path, demonstrations: Trajectories, origin: dict[str, Any]) -> None:
    """Write demonstrations to `path` (safetensors) in one step, with how they came to be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".tmp")
    arrays = {name: np.ascontiguousarray(array) for name, array in demonstrations.arrays().items()}
    save_file(arrays, fresh, metadata={"origin": json.dumps(origin)})
    fresh.replace(path)


def load_demonstrations(path: Path, origin: dict[str, Any]) -> Trajectories:
    """Demonstrations in file `path`.

    Raises:
        DatasetError: the file is damaged, or came to be in another way than `origin` says.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            found = json.loads((file.metadata() or {}).get("origin", "null"))
            demonstrations = Trajectories.from_arrays({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118 - no mapping
    except (SafetensorError, KeyError, TypeError, ValueError, OSError) as error:
        raise DatasetError(f"{path} is no file of demonstrations ({error}); remove it to record them again") from error
    if found != json.loads(json.dumps(origin)):
        raise DatasetError(
            f"{path} was recorded with other settings ({found}); remove it, or choose another output_dir"
        )
    return demonstrations
