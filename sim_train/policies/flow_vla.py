"""A small vision-language-action policy that turns noise into a chunk of actions by following a learned flow.

The shape of pi0 (arXiv 2410.24164) at a size that learns on a CPU: the observation is encoded once, then a small action
expert attends to it and is asked K times for the velocity of the noised chunk. Actions are continuous, so several good
answers to one observation stay apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from policy_api.schema import PolicySpec
from torch import nn

from sim_train.policies.flow_expert import ActionExpert
from sim_train.policies.flow_exploration import ExplorationConfig
from sim_train.policies.flow_policy import FlowPolicy
from sim_train.policies.flow_prefix import Prefix, PrefixConfig, PrefixEncoder
from sim_train.policies.imitation import SftLossConfig, SftReport, place_loss
from sim_train.policies.kinds import Kind, register, sizes
from sim_train.policies.observations import state_scale
from sim_train.policies.protocol import PolicyInputs
from sim_train.policies.text import InstructionTokenizer


@dataclass(frozen=True)
class FlowVlaConfig:
    """Sizes of the network. Horizon and action dimensions are not here: they belong to the contract."""

    prefix: PrefixConfig = field(default_factory=PrefixConfig)
    """The encoder of observations."""
    expert_width: int = 64
    """Width of the action expert, even."""
    expert_mlp: int = 128
    """Width of its feed-forward layers."""
    steps: int = 4
    """K, steps from noise to actions."""
    exploration: ExplorationConfig = field(default_factory=ExplorationConfig)
    """How it explores in reinforcement learning."""


class FlowVla(FlowPolicy):
    """The policy; see `sim_train.policies.protocol.Policy` for its interface.

    Args:
        spec: the contract: cameras, state, action bounds, horizon.
        config: sizes of the network.
        vocabulary: words of the instructions, from `build_vocabulary`.

    Raises:
        ValueError: a size that makes no network, or action bounds that are no range.
    """

    def __init__(self, spec: PolicySpec, config: FlowVlaConfig, vocabulary: Sequence[str]) -> None:
        if config.expert_width < 2 or config.expert_width % 2:
            raise ValueError(f"expert_width must be even; got {config.expert_width}")
        super().__init__(spec, config.steps, config.exploration, config.expert_width)
        self.config = config
        self._lower = np.array([f.lower for f in spec.action])
        self._range = np.array([f.upper for f in spec.action]) - self._lower
        if not (np.isfinite(self._range).all() and (self._range > 0).all()):
            raise ValueError("a flow policy needs a finite range, lower below upper, for every action dimension")
        self.tokenizer = InstructionTokenizer(vocabulary, config.prefix.text_tokens)
        self.prefix = PrefixEncoder(spec, config.prefix, len(vocabulary))
        self.expert = ActionExpert(
            config.prefix, config.expert_width, config.expert_mlp, spec.horizon, len(spec.action)
        )

    @property
    def action_head(self) -> tuple[nn.Module, int]:
        """Where the trunk that PPO's critic reads ends, and its width: the encoded observation, as in piRL."""
        return self.prefix.trunk, self.config.prefix.d_model

    def normalise_state_by(self, state: NDArray[np.float32]) -> None:
        """Centre and scale proprioception by the statistics of (N, S) recorded states."""
        values = torch.as_tensor(state, dtype=torch.float32)
        self.prefix.get_buffer("state_mean").copy_(values.mean(0))
        self.prefix.get_buffer("state_scale").copy_(state_scale(values))

    def normalise(self, actions: torch.Tensor) -> torch.Tensor:
        """Actions (..., A) in the contract's units -> their place in the range, -1..1."""
        lower, span = (torch.as_tensor(a, device=actions.device) for a in (self._lower, self._range))
        return ((actions - lower) / span * 2 - 1).float()

    def in_units(self, x: torch.Tensor) -> NDArray[np.float32]:
        """The inverse of `normalise`; what lies outside the range goes to its end."""
        share = (x.detach().cpu().numpy().astype(np.float64).clip(-1, 1) + 1) / 2
        return (self._lower + share * self._range).astype(np.float32)

    def prefix_of(self, inputs: PolicyInputs) -> Prefix:
        """The encoded observations."""
        prefix: Prefix = self.prefix(inputs)
        return prefix

    def flow(self, prefix: Prefix, x: torch.Tensor, time: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Velocity (B, H, A) and the expert's hidden states (B, H, width); see `FlowPolicy.flow`."""
        answer: tuple[torch.Tensor, torch.Tensor] = self.expert(prefix, x, time)
        return answer

    def imitation_loss(
        self,
        inputs: PolicyInputs,
        actions: torch.Tensor,
        weights: torch.Tensor,
        target_position: torch.Tensor,
        config: SftLossConfig,
        draws: torch.Tensor,
    ) -> tuple[torch.Tensor, SftReport]:
        """Flow matching plus the auxiliary loss; see `Policy.imitation_loss`."""
        prefix = self.prefix_of(inputs)
        matching = self.flow_matching(prefix, actions, weights, draws)
        auxiliary, error_mm = place_loss(prefix.target, target_position, weights, config)
        return matching + auxiliary, SftReport(float(matching.detach()), error_mm)


def _describe(policy: FlowVla) -> dict[str, Any]:
    return {"model": asdict(policy.config), "vocabulary": list(policy.tokenizer.vocabulary)}


def _build(spec: PolicySpec, parts: dict[str, Any]) -> FlowVla:
    model = parts["model"]
    inner = {
        "prefix": sizes(PrefixConfig, model["prefix"]),
        "exploration": sizes(ExplorationConfig, model["exploration"]),
    }
    return FlowVla(spec, sizes(FlowVlaConfig, {**model, **inner}), parts["vocabulary"])


register("flow_vla", Kind(FlowVla, _describe, _build, FlowVlaConfig, undeployed=("exploration.",)))
