"""A critic on the policy's own trunk: how likely is success from here?

It reads what the policy's last layers pass to its action head, so that one forward pass gives action tokens and value
(RL4VLA, arXiv 2505.19789, found this as good as a network of its own, at about half the memory). It is a module beside
the policy: neither the policy's weights nor its checkpoint know of it.
"""

from __future__ import annotations

import threading
from typing import Any

import torch
from torch import nn


class TrunkTap:
    """Keeps what last went into a module, for each thread its own.

    Args:
        module: the policy's action head; its first argument is (B, T, width).
    """

    def __init__(self, module: nn.Module) -> None:
        self._local = threading.local()
        self._hook = module.register_forward_pre_hook(self._keep)

    def _keep(self, module: nn.Module, arguments: tuple[Any, ...]) -> None:
        self._local.features = arguments[0]

    def take(self) -> torch.Tensor:
        """The features (B, T, width) of this thread's last forward pass, with their graph; each can be taken once.

        Raises:
            RuntimeError: this thread has made no forward pass since.
        """
        features: torch.Tensor | None = getattr(self._local, "features", None)
        if features is None:
            raise RuntimeError("there are no trunk features to take; run the policy in this thread first")
        self._local.features = None
        return features

    def close(self) -> None:
        """Leave the module as it was."""
        self._hook.remove()


class NoTrunkError(ValueError):
    """A kind of policy that a critic cannot read."""


def action_head(policy: object) -> tuple[nn.Module, int]:
    """The module that the policy's trunk features (B, T, width) go into, and the width: its `action_head`.

    Raises:
        NoTrunkError: the kind of policy has none.
    """
    found: tuple[nn.Module, int] | None = getattr(policy, "action_head", None)
    if found is None:
        raise NoTrunkError(
            f"PPO's critic reads a policy's trunk, and {type(policy).__name__} shows none (action_head). "
            "Use rl.algorithm=grpo, which needs no critic"
        )
    return found


class Critic(nn.Module):
    """Value of trunk features, averaged over the action tokens. It starts at exactly 0.

    Args:
        width: of the features.
        hidden: width of its hidden layer.
        seed: of its weights.
    """

    def __init__(self, width: int, hidden: int, seed: int) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            last = nn.Linear(hidden, 1)
            self.layers = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, hidden), nn.SiLU(), last)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Values (B,) float32 of features (B, T, width)."""
        values: torch.Tensor = self.layers(features.float().mean(dim=1)).squeeze(-1)
        return values.float()  # under autocast they would come in bfloat16
