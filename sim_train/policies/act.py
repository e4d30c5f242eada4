"""Action chunking with transformers (ACT, arXiv 2304.13705), with words and a Gaussian over the chunk.

An encoder reads a latent, the state, the instruction and the visual tokens; H learned queries, to which the words are
added, ask it through a decoder for one step each. While it imitates, the latent comes from a second encoder that sees
the demonstrated chunk, so that different ways to do the same thing need not be averaged; while it acts, and in
reinforcement, the latent is zero. Nothing is dropped out: a likelihood computed twice must be the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from policy_api.schema import PolicySpec
from torch import nn
from torch.nn.functional import smooth_l1_loss

from sim_train.policies.gaussian import GaussianPolicy, Spread
from sim_train.policies.imitation import SftLossConfig, SftReport
from sim_train.policies.kinds import Kind, register, sizes
from sim_train.policies.protocol import PolicyInputs
from sim_train.policies.senses import Senses

_SMOOTH = 0.1  # error, in a range of -1..1, above which the loss of a chunk is L1


@dataclass(frozen=True)
class ActConfig:
    """Sizes of the network. Horizon and action dimensions are not here: they belong to the contract."""

    width: int = 96
    """Of all tokens."""
    heads: int = 4
    """Attention heads."""
    mlp: int = 192
    """Width of the feed-forward layers."""
    encoder_layers: int = 2
    """Of the encoder of observations, and of the one of demonstrated chunks."""
    decoder_layers: int = 2
    """Of the decoder."""
    latent: int = 8
    """Numbers in the latent."""
    kl: float = 10.0
    """Weight of the latent's divergence from a standard normal, beside the loss of the chunk (the paper's value)."""
    text_tokens: int = 12
    """Tokens an instruction."""
    visual_tokens: int = 4
    """Tokens that carry one camera's keypoints."""
    channels: tuple[int, int, int] = (16, 32, 32)
    """Feature maps of the visual stem; the last is the number of keypoints a camera."""
    spread: Spread = field(default_factory=Spread)
    """Bounds of the standard deviation, which imitation leaves alone."""


class Act(GaussianPolicy):
    """The policy.

    Args:
        spec: the contract.
        config: sizes.
        vocabulary: words of the instructions, from `build_vocabulary`.

    Raises:
        ValueError: see `GaussianPolicy`.
    """

    def __init__(self, spec: PolicySpec, config: ActConfig, vocabulary: Sequence[str]) -> None:
        super().__init__(spec, config.spread, vocabulary, config.text_tokens)
        self.config = config
        width = config.width
        self.senses = Senses(spec, len(vocabulary), width, config.channels)
        if spec.cameras:
            self.visual = nn.Linear(2 * config.channels[2], config.visual_tokens * width)
        self.state = nn.Linear(len(spec.state), width)
        self.latent = nn.Linear(config.latent, width)
        tokens = 3 + config.visual_tokens * len(spec.cameras)
        self.places = nn.Parameter(torch.randn(tokens, width) * 0.1)
        self.queries = nn.Parameter(torch.randn(spec.horizon, width) * 0.1)
        self.encoder = self._encoder()
        layer = nn.TransformerDecoderLayer(width, config.heads, config.mlp, 0.0, batch_first=True, norm_first=True)
        self.decoder = nn.TransformerDecoder(layer, config.decoder_layers, nn.LayerNorm(width))
        self.mean = nn.Linear(width, len(spec.action))
        nn.init.normal_(self.mean.weight, std=0.01)  # starts in the middle of the range, free to go anywhere
        nn.init.zeros_(self.mean.bias)

        self.shown_state = nn.Linear(len(spec.state), width)
        self.shown_action = nn.Linear(len(spec.action), width)
        self.shown_places = nn.Parameter(torch.randn(2 + spec.horizon, width) * 0.5)
        self.shown_encoder = self._encoder()
        self.posterior = nn.Linear(width, 2 * config.latent)

    @property
    def imitation_draw_size(self) -> int:
        """Uniform numbers that `imitation_loss` needs for one observation: one for each of the latent."""
        return self.config.latent

    def _encoder(self) -> nn.TransformerEncoder:
        size = self.config
        layer = nn.TransformerEncoderLayer(size.width, size.heads, size.mlp, 0.0, batch_first=True, norm_first=True)
        return nn.TransformerEncoder(layer, size.encoder_layers, nn.LayerNorm(size.width), enable_nested_tensor=False)

    def forward(self, inputs: PolicyInputs, latent: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean (B, H, A) in -1..1, and the auxiliary estimate (B, 3) of the target's place in metres.

        Args:
            inputs: B observations.
            latent: (B, latent); None: zeros, as when acting.
        """
        sensed, batch = self.senses(inputs), len(inputs.state)
        if latent is None:
            latent = inputs.state.new_zeros(batch, self.config.latent)
        tokens = [self.latent(latent)[:, None], self.state(self.normalised_state(inputs))[:, None]]
        tokens.append(sensed.sentence[:, None])
        tokens += [self.visual(points).view(batch, -1, self.config.width) for points in sensed.keypoints]
        memory = self.encoder(torch.cat(tokens, dim=1) + self.places)
        answer = self.decoder(self.queries + sensed.sentence[:, None], memory)
        return self.mean(answer), sensed.target

    def encode_shown(self, inputs: PolicyInputs, actions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and log-variance (B, latent) of the latent behind demonstrated chunks (B, H, A) in -1..1."""
        state = self.shown_state(self.normalised_state(inputs))[:, None]
        tokens = torch.cat([torch.zeros_like(state), state, self.shown_action(actions)], dim=1)
        summary = self.shown_encoder(tokens + self.shown_places)[:, 0]
        mean, log_variance = self.posterior(summary).chunk(2, dim=-1)
        return mean, log_variance

    def imitation_loss(
        self,
        inputs: PolicyInputs,
        actions: torch.Tensor,
        weights: torch.Tensor,
        target_position: torch.Tensor,
        config: SftLossConfig,
        draws: torch.Tensor,
    ) -> tuple[torch.Tensor, SftReport]:
        """Smooth L1 of a chunk decoded from its own latent, the latent's divergence, and the auxiliary loss.

        See `Policy.imitation_loss`; the report has the first part.
        Plain L1 is flat between two ways to act: an answer half-way is no worse than one nearer to either, and the
        network is slow to find out which of two bodies the words mean.
        """
        shown = self.normalise(actions).clamp(-1, 1)
        mean, log_variance = self.encode_shown(inputs, shown * (weights > 0))
        noise = torch.special.ndtri(draws.double().clamp(1e-6, 1 - 1e-6)).to(mean)
        answer, estimate = self(inputs, mean + (0.5 * log_variance).exp() * noise)
        imitation = (smooth_l1_loss(answer, shown, reduction="none", beta=_SMOOTH) * weights).sum()
        divergence = 0.5 * (log_variance.exp() + mean.square() - 1 - log_variance).sum(-1)
        latent = self.config.kl * (divergence * weights.sum(dim=(1, 2))).sum()
        auxiliary, error_mm = self.auxiliary_loss(estimate, target_position, weights, config)
        return imitation + latent + auxiliary, SftReport(float(imitation.detach()), error_mm)


def _describe(policy: Act) -> dict[str, Any]:
    return {"model": asdict(policy.config), "vocabulary": list(policy.tokenizer.vocabulary)}


def _build(spec: PolicySpec, parts: dict[str, Any]) -> Act:
    spread = sizes(Spread, parts["model"]["spread"])
    return Act(spec, sizes(ActConfig, {**parts["model"], "spread": spread}), parts["vocabulary"])


register("act", Kind(Act, _describe, _build, ActConfig))
