"""What a LeRobot policy was trained to see as 0 and 1: the statistics of its state and actions.

Every mode is a shift and a scale. Sources: `processor/normalize_processor.py` of huggingface/lerobot for today's files,
`policies/normalize.py` of its versions before 0.4 for statistics among the weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from sim_train.policies.lerobot.layout import WEIGHTS, LeRobotError, beside, read_header, read_json
from sim_train.policies.lerobot.names import STATISTIC

STATE, ACTION = "observation.state", "action"
PREPROCESSOR, POSTPROCESSOR = "policy_preprocessor.json", "policy_postprocessor.json"
EPSILON = 1e-8
"""What LeRobot adds to a standard deviation, and puts in place of a range of 0."""
NEUTRAL_STEPS = {
    "rename_observations_processor",
    "to_batch_processor",
    "pi0_new_line_processor",
    "smolvla_new_line_processor",
    "tokenizer_processor",
    "device_processor",
}
RELATIVE_STEPS = {"relative_actions_processor", "absolute_actions_processor"}
_MODES = {
    "MEAN_STD": ("mean", "std"),
    "MIN_MAX": ("min", "max"),
    "QUANTILES": ("q01", "q99"),
    "QUANTILE10": ("q10", "q90"),
}


@dataclass(frozen=True, eq=False)
class Scaling:
    """normal = (physical - shift) / scale, of n numbers."""

    shift: torch.Tensor
    """(n,) float32, finite."""
    scale: torch.Tensor
    """(n,) float32, finite and above 0."""

    def __post_init__(self) -> None:
        if self.shift.ndim != 1 or self.shift.shape != self.scale.shape:
            raise ValueError(f"two vectors of one length are needed; got {self.shift.shape} and {self.scale.shape}")
        if not (self.shift.isfinite().all() and self.scale.isfinite().all() and (self.scale > 0).all()):
            raise ValueError("shift must be finite, and scale finite and above 0")

    @classmethod
    def of(cls, mode: object, statistics: Mapping[str, torch.Tensor], size: int, epsilon: float = EPSILON) -> Scaling:
        """From one feature's statistics; raises ValueError where they make no scaling of `size` numbers."""
        if mode == "IDENTITY":
            return cls(torch.zeros(size), torch.ones(size))
        if not isinstance(mode, str) or mode not in _MODES:
            raise ValueError(f"normalisation mode {mode!r} is unknown; known are {sorted([*_MODES, 'IDENTITY'])}")
        if missing := [name for name in _MODES[mode] if name not in statistics]:
            raise ValueError(f"mode {mode} needs {missing}")
        first, second = (statistics[name].float() for name in _MODES[mode])
        if first.shape != (size,) or second.shape != (size,):
            raise ValueError(f"statistics of shape {tuple(first.shape)}, {tuple(second.shape)}; expected ({size},)")
        if mode == "MEAN_STD":
            return cls(first, second + epsilon)
        width = torch.where(second == first, torch.full_like(first, epsilon), second - first)
        return cls(first + width / 2, width / 2)


def read_scalings(directory: Path, config: Mapping[str, Any], sizes: Mapping[str, int]) -> dict[str, Scaling]:
    """The scalings of `STATE` and `ACTION` that a directory was trained with.

    Args:
        directory: the policy's.
        config: its config.json.
        sizes: how many numbers either has.

    Raises:
        LeRobotError: statistics are missing or make no sense, or the files ask for something besides scaling.
    """
    before, after = directory / PREPROCESSOR, directory / POSTPROCESSOR
    if before.is_file() and after.is_file():
        found = {
            STATE: (before, *_read_processor(before, "normalizer_processor", STATE)),
            ACTION: (after, *_read_processor(after, "unnormalizer_processor", ACTION)),
        }
    else:
        modes = _modes(config.get("normalization_mapping"), directory / "config.json")
        weights = directory / WEIGHTS
        found = {
            STATE: (weights, modes.get("STATE"), _among_weights(weights, "normalize_inputs", STATE), EPSILON),
            ACTION: (weights, modes.get("ACTION"), _among_weights(weights, "unnormalize_outputs", ACTION), EPSILON),
        }
    scalings = {}
    for feature, (source, mode, statistics, epsilon) in found.items():
        if not statistics and mode != "IDENTITY":
            raise LeRobotError(
                f"{source} has no statistics of {feature!r}: a base model without a robot. Take its weights for the "
                "contract's robot (robot=contract) and train it"
            )
        try:
            scalings[feature] = Scaling.of(mode, statistics, sizes[feature], epsilon)
        except ValueError as error:
            raise LeRobotError(f"{source}: {feature}: {error}") from error
    return scalings


def check_processors(directory: Path, text_tokens: int) -> None:
    """Raise LeRobotError if the processors do something that our policies do not."""
    for path in (directory / PREPROCESSOR, directory / POSTPROCESSOR):
        for step in _steps(path) if path.is_file() else []:
            name, config = step.get("registry_name", step.get("class")), step.get("config") or {}
            if name in RELATIVE_STEPS and not config.get("enabled", False):
                continue
            if name not in NEUTRAL_STEPS | {"normalizer_processor", "unnormalizer_processor"}:
                raise LeRobotError(f"{path}: step {name!r} is not known here, and would change what the policy does")
            if name == "tokenizer_processor" and config.get("max_length", text_tokens) != text_tokens:
                raise LeRobotError(
                    f"{path} cuts instructions at {config['max_length']} tokens, config.json at {text_tokens}"
                )


def _steps(path: Path) -> list[dict[str, Any]]:
    steps = read_json(path).get("steps")
    if not isinstance(steps, list) or not all(isinstance(step, dict) for step in steps):
        raise LeRobotError(f"{path} has no list of 'steps'")
    return steps


def _read_processor(path: Path, step_name: str, feature: str) -> tuple[object, dict[str, torch.Tensor], float]:
    """Mode, statistics and epsilon of a feature, from the step that (un)normalises."""
    steps = [step for step in _steps(path) if step.get("registry_name") == step_name]
    if len(steps) != 1:
        raise LeRobotError(f"{path} must have one step {step_name!r}; it has {len(steps)}")
    config = steps[0].get("config") or {}
    modes = _modes(config.get("norm_map"), path)
    mode = modes.get("STATE" if feature == STATE else "ACTION", "IDENTITY")
    epsilon = float(config.get("eps", EPSILON))
    if steps[0].get("state_file") is None:
        return mode, {}, epsilon
    file = beside(path, steps[0]["state_file"])
    keys = [key for key in read_header(file) if key.rpartition(".")[0] == feature]
    with safe_open(file, framework="pt") as tensors:
        return mode, {key.rpartition(".")[2]: tensors.get_tensor(key) for key in keys}, epsilon


def _among_weights(path: Path, layer: str, feature: str) -> dict[str, torch.Tensor]:
    """Statistics of a feature among the weights; none if they were never set, which LeRobot marks by infinity."""
    wanted = {}
    for key in read_header(path):
        match = STATISTIC.fullmatch(key)
        if (
            match
            and match["robot"] is None
            and match["layer"] == layer
            and match["feature"].replace("_", ".") == feature
        ):
            wanted[match["statistic"]] = key
    with safe_open(path, framework="pt") as tensors:
        found = {statistic: tensors.get_tensor(key) for statistic, key in wanted.items()}
    return {} if any(tensor.isinf().any() for tensor in found.values()) else found


def _modes(plain: object, path: Path) -> dict[str, Any]:
    if not isinstance(plain, dict):
        raise LeRobotError(f"{path} does not say how state and action are normalised")
    if plain.get("VISUAL", "IDENTITY") != "IDENTITY":
        raise LeRobotError(f"{path} normalises images by {plain['VISUAL']}; these networks scale them to -1..1 instead")
    return plain
