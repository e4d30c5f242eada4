"""Read and write the networks' weights and statistics in LeRobot's layout; nothing pickled."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from policy_api.schema import PolicySpec
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from sim_train.policies.lerobot.config import LeRobotConfig, Pi0Config
from sim_train.policies.lerobot.config_json import plain_config
from sim_train.policies.lerobot.layout import CONFIG, WEIGHTS, locate_tensors
from sim_train.policies.lerobot.names import PI0, SMOLVLA, Names, shapes
from sim_train.policies.lerobot.statistics import POSTPROCESSOR, PREPROCESSOR, Scaling

_TOKENIZERS = {"pi0": "google/paligemma-3b-pt-224", "smolvla": "HuggingFaceTB/SmolVLM2-500M-Video-Instruct"}


def names_of(config: LeRobotConfig) -> Names:
    """How LeRobot names the weights of a network of these sizes."""
    return PI0 if isinstance(config, Pi0Config) else SMOLVLA


def load_weights(network: nn.Module, config: LeRobotConfig, path: Path) -> None:
    """Fill a network from model.safetensors, one tensor in memory at a time, in the type that the network has.

    Raises:
        LeRobotError: anything missing, unexpected, wrongly shaped or damaged, by name.
    """
    names = names_of(config)
    located = locate_tensors(path, names, shapes(network), names.unused_shapes(config))
    state = network.state_dict()
    with safe_open(path, framework="pt") as file, torch.no_grad():
        for ours, key in located.items():
            state[ours].copy_(file.get_tensor(key))


def save_weights(network: nn.Module, config: LeRobotConfig, path: Path) -> None:
    """Write a network's weights as published files have them.

    Tensors that LeRobot wants to find but never uses (output layers of the language models) are written as zeros.
    """
    names = names_of(config)
    tensors = {names.stored(name): tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    for name, shape in names.unused_shapes(config).items():
        tensors[name] = torch.zeros(shape, dtype=torch.bfloat16)
    save_file(tensors, path, metadata={"format": "pt"})


def save_description(directory: Path, config: LeRobotConfig, spec: PolicySpec, scalings: Mapping[str, Scaling]) -> None:
    """Write config.json, the two processors and their statistics.

    Args:
        directory: exists; files of these names are overwritten.
        config: sizes of the network.
        spec: the contract.
        scalings: of `STATE` and `ACTION`; written as means and standard deviations.
    """
    content = plain_config(config, spec)
    _write_json(directory / CONFIG, content)
    statistics: dict[str, torch.Tensor] = {}
    for feature, scaling in scalings.items():
        statistics |= {f"{feature}.mean": scaling.shift.cpu(), f"{feature}.std": scaling.scale.cpu()}
    kind = content["type"]
    normalise = {"eps": 0.0, "norm_map": content["normalization_mapping"]}
    before: list[dict[str, Any]] = [
        {"registry_name": "rename_observations_processor", "config": {"rename_map": {}}},
        {"registry_name": "to_batch_processor", "config": {}},
        {"registry_name": f"{kind}_new_line_processor", "config": {}},
        {
            "registry_name": "tokenizer_processor",
            "config": {
                "max_length": config.text_tokens,
                "task_key": "task",
                "padding_side": "right",
                "padding": "max_length",
                "truncation": True,
                "tokenizer_name": _TOKENIZERS[kind],
            },
        },
        {"registry_name": "device_processor", "config": {"device": "cpu", "float_dtype": None}},
        {
            "registry_name": "normalizer_processor",
            "config": {**normalise, "features": {**content["input_features"], **content["output_features"]}},
        },
    ]
    after: list[dict[str, Any]] = [
        {"registry_name": "unnormalizer_processor", "config": {**normalise, "features": content["output_features"]}},
        {"registry_name": "device_processor", "config": {"device": "cpu", "float_dtype": None}},
    ]
    for file, steps, at in ((PREPROCESSOR, before, 5), (POSTPROCESSOR, after, 0)):
        name = file.removesuffix(".json")
        steps[at]["state_file"] = f"{name}_step_{at}_{steps[at]['registry_name']}.safetensors"
        save_file(statistics, directory / steps[at]["state_file"])
        _write_json(directory / file, {"name": name, "steps": steps})


def save_network(
    directory: Path, network: nn.Module, config: LeRobotConfig, spec: PolicySpec, scalings: Mapping[str, Scaling]
) -> None:
    """Write a whole policy directory of LeRobot's; it is made if missing."""
    directory.mkdir(parents=True, exist_ok=True)
    save_description(directory, config, spec, scalings)
    save_weights(network, config, directory / WEIGHTS)


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, allow_nan=False), encoding="utf-8")
