"""A policy in the form in which it trains, and the plain policy that plays and is saved."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from transformers import PreTrainedModel

from sim_train.policies.kinds import StoredPolicy
from sim_train.scale.config import ScaleConfig
from sim_train.scale.layers import repeated_layers
from sim_train.scale.lora import add_adapters, merge
from sim_train.scale.shards import place, shard, whole
from sim_train.typed import ConfigError


class UnfitPolicyError(ConfigError):
    """A kind of policy that cannot be trained as the configuration asks; the text says what to change."""


class Trainee:
    """A policy that learns: on its device, with adapters, sharded, as the configuration asks.

    On a CPU without adapters and shards the learner is the given policy itself.

    Args:
        policy: on the CPU, float32.
        config: how it is to be trained.

    Raises:
        UnfitPolicyError, AdapterError: the policy cannot be trained so.
    """

    def __init__(self, policy: StoredPolicy, config: ScaleConfig) -> None:
        self.config = config
        self._plain = policy
        device = config.torch_device()
        alone = device.type == "cpu" and not config.lora.rank and not config.fsdp
        module = cast(nn.Module, policy if alone else copy.deepcopy(policy))
        if config.lora.rank:
            add_adapters(module, config.lora)
        if config.checkpointing:
            checkpoint_activations(module)
        if config.fsdp:
            shard(module, device)
        module.to(device)
        if config.compile:
            for layer in repeated_layers(module).values():
                layer.compile()
        self.module = module
        self.policy: StoredPolicy = cast(Any, module)
        """What learns."""

    @property
    def parameters(self) -> list[nn.Parameter]:
        """What training changes."""
        return [parameter for parameter in self.module.parameters() if parameter.requires_grad]

    def plain(self) -> StoredPolicy:
        """The policy with the present weights, plain and on the CPU: for rollouts and checkpoints.

        It is one and the same object every time. With shards every process must ask for it at the same moment.
        """
        if self._plain is not self.policy:
            state = {name: whole(tensor) for name, tensor in self.module.state_dict().items()}
            self._plain.load_state_dict(merge(state, self.config.lora) if self.config.lora.rank else state)
        return self._plain

    def arrays(self, prefix: str = "policy.") -> dict[str, NDArray[np.generic]]:
        """What training changes, and buffers, as `<prefix><name>`: with adapters neither frozen nor merged weights."""
        return {prefix + name: whole(tensor).numpy().copy() for name, tensor in self._kept().items()}

    def restore(self, arrays: Mapping[str, NDArray[np.generic]], prefix: str = "policy.") -> None:
        """The inverse of `arrays`.

        Raises:
            ValueError: the arrays are those of another network or of other adapters; the text names one.
        """
        kept = self._kept()
        given = {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
        if odd := sorted(given.keys() ^ kept.keys()):
            raise ValueError(f"the saved state does not fit the policy: {odd[0]!r} is in only one of them")
        with torch.no_grad():
            for name, tensor in kept.items():
                tensor.copy_(place(torch.from_numpy(given[name].copy()), tensor))

    def _kept(self) -> dict[str, torch.Tensor]:
        frozen = {name for name, parameter in self.module.named_parameters() if not parameter.requires_grad}
        return {name: tensor for name, tensor in self.module.state_dict().items() if name not in frozen}


def checkpoint_activations(policy: nn.Module) -> None:
    """Let the backbones compute activations a second time instead of keeping them; UnfitPolicyError without any."""
    backbones = [part for part in policy.modules() if isinstance(part, PreTrainedModel)]
    able = [part for part in backbones if part.supports_gradient_checkpointing]
    if not able:
        raise UnfitPolicyError(
            f"{type(policy).__name__} has no backbone that can checkpoint activations; set scale.checkpointing=false"
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # later releases of 5.x have a second name for it
        for part in able:
            part.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
