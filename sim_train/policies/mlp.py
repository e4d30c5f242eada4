"""The plainest policy: a multi-layer perceptron of state, keypoints and words, with a Gaussian over the chunk.

The baseline for every other kind. Under a contract without cameras, whose state says where bodies are, it is the
state-based one. It imitates by the divergence of its Gaussian from one around the expert's action, so that it learns
where demonstrations leave doubt, but never becomes surer than they are smooth.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from policy_api.schema import PolicySpec
from torch import nn

from sim_train.policies.gaussian import GaussianPolicy, Spread
from sim_train.policies.imitation import SftLossConfig, SftReport
from sim_train.policies.kinds import Kind, register, sizes
from sim_train.policies.protocol import PolicyInputs
from sim_train.policies.senses import Senses


@dataclass(frozen=True)
class MlpConfig:
    """Sizes of the network. Horizon and action dimensions are not here: they belong to the contract."""

    width: int = 256
    """Of the hidden layers."""
    layers: int = 2
    """Hidden layers, at least 1."""
    text_width: int = 32
    """Of the words' embedding."""
    text_tokens: int = 12
    """Tokens an instruction."""
    channels: tuple[int, int, int] = (16, 32, 32)
    """Feature maps of the visual stem; the last is the number of keypoints a camera."""
    spread: Spread = field(default_factory=Spread)
    """Bounds of the standard deviation."""


class Mlp(GaussianPolicy):
    """The policy.

    Args:
        spec: the contract.
        config: sizes.
        vocabulary: words of the instructions, from `build_vocabulary`.

    Raises:
        ValueError: no layer, or see `GaussianPolicy`.
    """

    def __init__(self, spec: PolicySpec, config: MlpConfig, vocabulary: Sequence[str]) -> None:
        super().__init__(spec, config.spread, vocabulary, config.text_tokens)
        if config.layers < 1:
            raise ValueError(f"layers must be at least 1; got {config.layers}")
        self.config = config
        self.senses = Senses(spec, len(vocabulary), config.text_width, config.channels)
        widths = [2 * config.channels[2] * len(spec.cameras) + len(spec.state) + config.text_width]
        widths += [config.width] * config.layers
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(widths):
            layers += [nn.Linear(before, after), nn.LayerNorm(after), nn.SiLU()]
        self.trunk = nn.Sequential(*layers)
        self.mean = nn.Linear(config.width, self.draw_size)
        nn.init.normal_(self.mean.weight, std=0.01)  # starts in the middle of the range, free to go anywhere
        nn.init.zeros_(self.mean.bias)

    def forward(self, inputs: PolicyInputs) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean (B, H, A) in -1..1, and the auxiliary estimate (B, 3) of the target's place in metres."""
        sensed = self.senses(inputs)
        features = torch.cat([*sensed.keypoints, self.normalised_state(inputs), sensed.sentence], dim=1)
        hidden = self.trunk(features)[:, None]  # one token, as a critic expects
        return self.mean(hidden).view(-1, *self.spread.shape), sensed.target

    def imitation_loss(
        self,
        inputs: PolicyInputs,
        actions: torch.Tensor,
        weights: torch.Tensor,
        target_position: torch.Tensor,
        config: SftLossConfig,
        draws: torch.Tensor,
    ) -> tuple[torch.Tensor, SftReport]:
        """Divergence KL(N(expert, sigma) || policy) plus the auxiliary loss; see `Policy.imitation_loss`.

        What tokens get by smoothing, the Gaussian gets by the same `config.sigma`, twice as much in a range of -1..1.
        """
        if not config.sigma > 0:
            raise ValueError(f"sigma must be above 0 (a share of the action's range); got {config.sigma}")
        mean, estimate = self(inputs)
        std, smooth = self.std(), 2 * config.sigma
        error = mean - self.normalise(actions).clamp(-1, 1)
        divergence = (std / smooth).log() + (smooth**2 + error.square()) / (2 * std.square()) - 0.5
        imitation = (divergence * weights).sum()
        auxiliary, error_mm = self.auxiliary_loss(estimate, target_position, weights, config)
        return imitation + auxiliary, SftReport(float(imitation.detach()), error_mm)


def _describe(policy: Mlp) -> dict[str, Any]:
    return {"model": asdict(policy.config), "vocabulary": list(policy.tokenizer.vocabulary)}


def _build(spec: PolicySpec, parts: dict[str, Any]) -> Mlp:
    spread = sizes(Spread, parts["model"]["spread"])
    return Mlp(spec, sizes(MlpConfig, {**parts["model"], "spread": spread}), parts["vocabulary"])


register("mlp", Kind(Mlp, _describe, _build, MlpConfig))
