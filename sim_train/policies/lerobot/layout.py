"""What a LeRobot policy's directory holds, and what of it is refused, before a single weight is read.

    config.json                    type, features, sizes of chunk and padding, normalisation modes
    model.safetensors              all weights; in versions before 0.4 the statistics, too
    policy_preprocessor.json       steps from observation to network; one of them names ..
    policy_preprocessor_*.safetensors   .. this file of statistics
    policy_postprocessor.json, policy_postprocessor_*.safetensors   the same for actions

Sources: `configs/policies.py`, `processor/pipeline.py` and `policies/pretrained.py` of huggingface/lerobot.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from sim_train.policies.lerobot.names import STATISTIC, Names, present_day

CONFIG, WEIGHTS = "config.json", "model.safetensors"
PICKLES = ("*.bin", "*.pt", "*.pth", "*.pkl", "*.pickle", "*.ckpt")
SHOWN = 5


class LeRobotError(ValueError):
    """A directory that cannot be loaded as a LeRobot policy; the message names what is wrong."""


def locate_tensors(
    path: Path, names: Names, wanted: Mapping[str, tuple[int, ...]], unused: Mapping[str, tuple[int, ...]]
) -> dict[str, str]:
    """Find every tensor of a network in a file and check its shape.

    Args:
        path: model.safetensors.
        names: of the kind of network.
        wanted: our name -> shape of every tensor of the network.
        unused: LeRobot's name -> shape of every tensor that the file may have besides.

    Returns:
        Our name -> key in the file. What the file holds beside these is unused or a statistic.

    Raises:
        LeRobotError: the file is missing or damaged, or tensors are missing, unexpected or of a wrong shape.
    """
    header = read_header(path)
    keys: dict[str, str] = {}
    for key in header:
        if STATISTIC.fullmatch(key):
            continue
        if (name := present_day(key)) in keys:
            raise LeRobotError(f"{path}: {key} and {keys[name]} are two names of one tensor")
        keys[name] = key
    found, expected = {}, {**unused}
    for ours, shape in wanted.items():
        theirs = names.of(ours)
        either = (theirs, names.tied.get(theirs, theirs))
        expected |= dict.fromkeys(either, shape)
        if present := [keys[name] for name in either if name in keys]:
            found[ours] = present[0]
    if missing := sorted(names.stored(ours) for ours in wanted.keys() - found.keys()):
        raise LeRobotError(f"{path} lacks {len(missing)} tensors: {some(missing)}")
    if unexpected := sorted(keys[name] for name in keys.keys() - expected.keys()):
        raise LeRobotError(f"{path} holds {len(unexpected)} unexpected tensors: {some(unexpected)}")
    wrong = [
        f"{key} {header[key]}, expected {expected[name]}" for name, key in keys.items() if header[key] != expected[name]
    ]
    if wrong:
        raise LeRobotError(f"{path}: {len(wrong)} tensors have a wrong shape: {some(sorted(wrong))}")
    return found


def check_directory(directory: Path) -> None:
    """Raise LeRobotError unless it is a directory of the layout, without anything pickled in it."""
    if not directory.is_dir():
        raise LeRobotError(f"{directory} is not a directory; give the one with {CONFIG} and {WEIGHTS}")
    for pattern in PICKLES:
        for path in sorted(directory.glob(pattern)):
            raise LeRobotError(
                f"{path} may be a pickle and is never opened; convert weights that you trust to {WEIGHTS} elsewhere "
                "(safetensors.torch.save_file) and move this file away"
            )


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object; LeRobotError if there is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise LeRobotError(f"{path.parent} has no {path.name}") from error
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise LeRobotError(f"{path} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise LeRobotError(f"{path} must hold a JSON object; got {type(content).__name__}")
    return content


def beside(path: Path, name: object) -> Path:
    """The safetensors file that `path` names, which must lie beside it; LeRobotError otherwise."""
    if not isinstance(name, str) or Path(name).name != name or "\\" in name or not name.endswith(".safetensors"):
        raise LeRobotError(f"{path} names {name!r}, which is no safetensors file beside it")
    return path.parent / name


def read_header(path: Path) -> dict[str, tuple[int, ...]]:
    """Key -> shape of every tensor in a file; LeRobotError if it is missing, cut short or of another format."""
    try:
        with safe_open(path, framework="pt") as file:
            return {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118 - no mapping
    except FileNotFoundError as error:
        raise LeRobotError(f"{path.parent} has no {path.name}") from error
    except (SafetensorError, OSError) as error:
        raise LeRobotError(f"{path} is damaged or no safetensors file: {error}") from error


def some(names: list[str]) -> str:
    """The first few of many names."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
