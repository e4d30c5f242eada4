"""A small vision-language-action policy that emits action tokens in parallel.

The shape of OpenVLA-OFT (arXiv 2502.19645) at a size that learns on two CPU cores: visual tokens from a convolutional
stem with FiLM, instruction tokens and one proprioception token in front of H * A placeholder tokens; a Llama decoder
without the causal mask reads all of them at once, and each placeholder's output gives one action token.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from policy_api.schema import PolicySpec
from torch import nn
from transformers import LlamaConfig, LlamaModel

from sim_train.policies.action_tokens import choose_tokens, token_log_prob
from sim_train.policies.binning import ActionBinning
from sim_train.policies.contracted import ContractedPolicy
from sim_train.policies.imitation import SftLossConfig, SftReport, cross_entropy, place_loss, smoothed_targets
from sim_train.policies.observations import state_scale
from sim_train.policies.protocol import LogProb, PolicyInputs, PolicyOutput
from sim_train.policies.text import InstructionTokenizer
from sim_train.policies.token_head import TokenHead
from sim_train.policies.vision import FilmStem


@dataclass(frozen=True)
class TokenVlaConfig:
    """Sizes of the network. Horizon and action dimensions are not here: they belong to the contract."""

    d_model: int = 96
    """Width of the language model."""
    layers: int = 2
    """Decoder layers."""
    heads: int = 4
    """Attention heads."""
    mlp: int = 192
    """Width of the decoder's feed-forward layers."""
    channels: tuple[int, int, int] = (16, 32, 32)
    """Feature maps of the visual stem; the last is the number of keypoints a camera."""
    visual_tokens: int = 4
    """Tokens that carry one camera's keypoints."""
    text_tokens: int = 12
    """Tokens an instruction."""
    bins: int = 256
    """Tokens an action dimension."""
    head_rank: int = 24
    """Smooth functions over the bins that the token head mixes."""
    bf16: bool = True
    """Compute in bfloat16 where it is safe; weights and log-probabilities stay in float32."""


class TokenVla(ContractedPolicy):
    """The policy; see `sim_train.policies.protocol.Policy` for its interface.

    Args:
        spec: the contract: cameras, state, action bounds, horizon.
        config: sizes of the network.
        vocabulary: words of the instructions, from `build_vocabulary`.
    """

    ratio: Final = "token"
    imitation_draw_size: Final = 0

    def __init__(self, spec: PolicySpec, config: TokenVlaConfig, vocabulary: Sequence[str]) -> None:
        super().__init__(spec)
        self.config = config
        self.binning = ActionBinning([f.lower for f in spec.action], [f.upper for f in spec.action], config.bins)
        self._lower, self._upper = (torch.tensor([getattr(f, end) for f in spec.action]) for end in ("lower", "upper"))
        self._centres = (torch.arange(config.bins) + 0.5) / config.bins
        self.tokenizer = InstructionTokenizer(vocabulary, config.text_tokens)
        width, action_tokens = config.d_model, spec.horizon * len(spec.action)
        prefix = config.text_tokens + config.visual_tokens * len(spec.cameras) + 1
        self.language_model = LlamaModel(
            LlamaConfig(  # type: ignore[call-arg]  # attn_implementation is taken by its base class
                vocab_size=len(vocabulary),
                hidden_size=width,
                intermediate_size=config.mlp,
                num_hidden_layers=config.layers,
                num_attention_heads=config.heads,
                num_key_value_heads=config.heads,
                max_position_embeddings=prefix + action_tokens,
                initializer_range=0.05,
                pad_token_id=0,
                attn_implementation="eager",  # faster than sdpa for some 30 tokens on a CPU
            )
        )
        self.stems = nn.ModuleDict({camera.name: FilmStem(width, config.channels) for camera in spec.cameras})
        keypoints = 2 * config.channels[2]
        self.visual = nn.Linear(keypoints, config.visual_tokens * width)
        self.target = nn.Linear(keypoints * len(spec.cameras), 3)
        self.proprio = nn.Sequential(nn.Linear(len(spec.state), width), nn.SiLU(), nn.Linear(width, width))
        self.placeholders = nn.Parameter(torch.randn(action_tokens, width) * 0.5)
        self.head = TokenHead(width, config.bins, config.head_rank)
        self.register_buffer("state_mean", torch.zeros(len(spec.state)))
        self.register_buffer("state_scale", torch.ones(len(spec.state)))

    @property
    def action_head(self) -> tuple[nn.Module, int]:
        """The module that makes logits of the trunk's features (B, T, width), and the width."""
        return self.head, self.config.d_model

    def normalise_state_by(self, state: NDArray[np.float32]) -> None:
        """Centre and scale proprioception by the statistics of (N, S) recorded states."""
        values = torch.as_tensor(state, dtype=torch.float32)
        self.get_buffer("state_mean").copy_(values.mean(0))
        self.get_buffer("state_scale").copy_(state_scale(values))

    def forward(self, inputs: PolicyInputs) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits (B, H, A, bins) in float32, and the auxiliary estimate of the target's place (B, 3) in metres."""
        device = self.placeholders.device.type
        with torch.autocast(device, torch.bfloat16, enabled=self.config.bf16, cache_enabled=False):
            logits, target = self._forward(inputs)
        shape = (len(inputs.state), self._spec.horizon, len(self._spec.action), self.config.bins)
        return logits.float().view(shape), target.float()

    def _forward(self, inputs: PolicyInputs) -> tuple[torch.Tensor, torch.Tensor]:
        batch, width = len(inputs.state), self.config.d_model
        words = self.language_model.embed_tokens(inputs.text)
        spoken = (inputs.text != 0).to(words.dtype)
        sentence = (words * spoken[:, :, None]).sum(1) / spoken.sum(1, keepdim=True).clamp_min(1)
        keypoints = [self.stems[c.name](inputs.images[c.name], sentence) for c in self._spec.cameras]
        visual = [self.visual(points).view(batch, -1, width) for points in keypoints]
        normalised = (inputs.state - self.get_buffer("state_mean")) / self.get_buffer("state_scale")
        proprio = self.proprio(normalised.clamp(-10, 10))[:, None]
        placeholders = self.placeholders.expand(batch, -1, -1)
        sequence = torch.cat([words, *visual, proprio, placeholders], dim=1)

        # every token sees every other one; only padding is hidden
        visible = torch.ones(batch, sequence.shape[1], dtype=torch.bool, device=sequence.device)
        visible[:, : inputs.text.shape[1]] = inputs.text != 0
        mask = torch.zeros(visible.shape, device=sequence.device)
        mask = mask.masked_fill(~visible, torch.finfo(torch.float32).min)[:, None, None]
        hidden = self.language_model(inputs_embeds=sequence, attention_mask=mask, use_cache=False)
        answer = hidden.last_hidden_state[:, -placeholders.shape[1] :]
        return self.head(answer), self.target(torch.cat(keypoints, dim=1))

    def log_prob(self, inputs: PolicyInputs, drawn: Mapping[str, torch.Tensor], temperature: float) -> LogProb:
        """Likelihood of drawn["tokens"] (B, H, A) at a temperature above 0."""
        return token_log_prob(self(inputs)[0], drawn["tokens"], temperature)

    @torch.no_grad()
    def act(
        self,
        images: Mapping[str, NDArray[np.uint8]],
        state: NDArray[np.float32],
        instructions: Sequence[str],
        temperature: float = 0.0,
        draws: NDArray[np.float32] | None = None,
    ) -> PolicyOutput:
        """Choose one chunk for each observation; see `Policy.act`."""
        logits = self(self.inputs(images, state, instructions))[0]
        tokens, log_probs = choose_tokens(logits, temperature, draws)
        return PolicyOutput(self.binning.decode(tokens), {"tokens": tokens}, log_probs)

    def imitation_loss(
        self,
        inputs: PolicyInputs,
        actions: torch.Tensor,
        weights: torch.Tensor,
        target_position: torch.Tensor,
        config: SftLossConfig,
        draws: torch.Tensor,
    ) -> tuple[torch.Tensor, SftReport]:
        """Cross-entropy against smoothed tokens plus the auxiliary loss; see `Policy.imitation_loss`."""
        targets = smoothed_targets((actions - self._lower) / (self._upper - self._lower), self._centres, config.sigma)
        logits, estimate = self(inputs)
        targets, weights, target_position = (t.to(logits.device) for t in (targets, weights, target_position))
        imitation, excess = cross_entropy(logits, targets, weights)
        auxiliary, error_mm = place_loss(estimate, target_position, weights, config)
        return imitation + auxiliary, SftReport(excess, error_mm)
