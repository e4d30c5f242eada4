"""Adapters through peft: put into a policy in place, and merged into plain weights for rollouts and checkpoints."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from sim_train.scale.config import LoraConfig
from sim_train.scale.layers import repeated_layers
from sim_train.typed import ConfigError

_BASE, _DOWN, _UP = ".base_layer.", ".lora_A.default.weight", ".lora_B.default.weight"


class AdapterError(ConfigError):
    """Adapters that do not fit a policy; the text says what to change."""


def add_adapters(policy: nn.Module, config: LoraConfig) -> None:
    """Give linear layers adapters that start as zero; they and the parts of `config.whole` train, all else is frozen.

    Raises:
        AdapterError: a name of `config.targets` is no linear layer of the backbones, or there are none.
    """
    # peft takes a second to import, and only those who use adapters need it
    from peft import LoraConfig as PeftConfig
    from peft import inject_adapter_in_model

    linear = [
        f"{layer}.{name}"
        for layer, module in repeated_layers(policy).items()
        for name, part in module.named_modules()
        if isinstance(part, nn.Linear)
    ]
    wanted = config.targets or sorted({name.rsplit(".", 1)[-1] for name in linear})
    chosen = [name for name in linear if name.rsplit(".", 1)[-1] in wanted]
    if unknown := sorted(set(wanted) - {name.rsplit(".", 1)[-1] for name in linear}):
        known = sorted({name.rsplit(".", 1)[-1] for name in linear})
        raise AdapterError(f"scale.lora.targets: there is no linear layer {unknown[0]!r}; there are {known}")
    if not chosen:
        raise AdapterError(f"{type(policy).__name__} repeats no layers with linear parts; set scale.lora.rank=0")
    trained = {name for name, parameter in policy.named_parameters() if parameter.requires_grad}
    adapters = PeftConfig(
        r=config.rank, lora_alpha=config.alpha, lora_dropout=0.0, target_modules=chosen, init_lora_weights=True
    )
    inject_adapter_in_model(adapters, policy)
    for name, parameter in policy.named_parameters():
        part = name in trained and bool(set(name.split(".")) & set(config.whole))
        parameter.requires_grad_(".lora_" in name or part)


def merge(state: Mapping[str, torch.Tensor], config: LoraConfig) -> dict[str, torch.Tensor]:
    """Plain weights under their plain names: what adapters add is added to the layers they belong to.

    Args:
        state: `state_dict` of a policy with adapters, whole tensors.
        config: the adapters' scale.
    """
    merged = {}
    for name, tensor in state.items():
        if ".lora_" in name:
            continue
        layer = name.rsplit(_BASE, 1)[0]
        if name.endswith(_BASE + "weight"):
            down, up = state[layer + _DOWN], state[layer + _UP]
            tensor = tensor + (config.alpha / config.rank) * (up @ down)
        merged[name.replace(_BASE, ".")] = tensor
    return merged
