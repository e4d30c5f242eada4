"""What the robot sees and is told, encoded once a chunk: the prefix that the action expert attends to.

Visual tokens from a convolutional stem with FiLM, instruction tokens and one proprioception token go through a Llama
decoder without the causal mask. Its keys and values are all that is kept, as in pi0 (arXiv 2410.24164); that
proprioception belongs to the prefix is as in SmolVLA (arXiv 2506.01844).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from policy_api.schema import PolicySpec
from torch import nn
from transformers import DynamicCache, LlamaConfig, LlamaModel

from sim_train.policies.protocol import PolicyInputs
from sim_train.policies.vision import FilmStem


@dataclass(frozen=True, eq=False)
class Prefix:
    """An encoded observation, B rows of P tokens."""

    keys_values: tuple[tuple[torch.Tensor, torch.Tensor], ...]
    """For each layer the keys and the values, (B, heads, P, head width)."""
    visible: torch.Tensor
    """(B, P) bool; false for padding."""
    target: torch.Tensor
    """(B, 3) estimate of where the named object is, metres in the base frame; for the auxiliary loss only."""

    def __getitem__(self, rows: torch.Tensor) -> Prefix:
        """The given rows, as often as they are named."""
        return Prefix(tuple((k[rows], v[rows]) for k, v in self.keys_values), self.visible[rows], self.target[rows])

    def cache(self) -> DynamicCache:
        """A fresh cache of the keys and values, for one pass of the expert, which appends its own."""
        return DynamicCache(self.keys_values)


@dataclass(frozen=True)
class PrefixConfig:
    """Sizes of the encoder of observations."""

    d_model: int = 96
    """Width of the language model."""
    layers: int = 2
    """Layers of the language model, and of the action expert that attends to them."""
    heads: int = 4
    """Attention heads of both."""
    mlp: int = 192
    """Width of the feed-forward layers."""
    channels: tuple[int, int, int] = (16, 32, 32)
    """Feature maps of the visual stem; the last is the number of keypoints a camera."""
    visual_tokens: int = 4
    """Tokens that carry one camera's keypoints."""
    text_tokens: int = 12
    """Tokens an instruction."""


class PrefixEncoder(nn.Module):
    """Observations -> prefix.

    Args:
        spec: the contract: cameras and state.
        config: sizes.
        words: size of the vocabulary.
    """

    def __init__(self, spec: PolicySpec, config: PrefixConfig, words: int) -> None:
        super().__init__()
        self.cameras = [camera.name for camera in spec.cameras]
        width = config.d_model
        self.language_model = LlamaModel(
            LlamaConfig(  # type: ignore[call-arg]  # attn_implementation is taken by its base class
                vocab_size=words,
                hidden_size=width,
                intermediate_size=config.mlp,
                num_hidden_layers=config.layers,
                num_attention_heads=config.heads,
                num_key_value_heads=config.heads,
                initializer_range=0.05,
                pad_token_id=0,
                attn_implementation="eager",  # faster than sdpa for so few tokens on a CPU
            )
        )
        keypoints = 2 * config.channels[2]
        self.stems = nn.ModuleDict({name: FilmStem(width, config.channels) for name in self.cameras})
        self.visual = nn.Linear(keypoints, config.visual_tokens * width)
        self.target = nn.Linear(keypoints * len(self.cameras), 3)
        self.proprio = nn.Sequential(nn.Linear(len(spec.state), width), nn.SiLU(), nn.Linear(width, width))
        self.trunk = nn.Identity()  # where a critic may read what was encoded
        self.register_buffer("state_mean", torch.zeros(len(spec.state)))
        self.register_buffer("state_scale", torch.ones(len(spec.state)))

    def forward(self, inputs: PolicyInputs) -> Prefix:
        """Encode B observations."""
        words = self.language_model.embed_tokens(inputs.text)
        spoken = inputs.text != 0
        shares = spoken.to(words.dtype)
        sentence = (words * shares[:, :, None]).sum(1) / shares.sum(1, keepdim=True).clamp_min(1)
        keypoints = [self.stems[name](inputs.images[name], sentence) for name in self.cameras]
        visual = [self.visual(points).unflatten(1, (-1, words.shape[-1])) for points in keypoints]
        normalised = (inputs.state - self.get_buffer("state_mean")) / self.get_buffer("state_scale")
        proprio = self.proprio(normalised.clamp(-10, 10))[:, None]
        sequence = torch.cat([words, *visual, proprio], dim=1)

        always = spoken.new_ones(len(spoken), sequence.shape[1] - spoken.shape[1])
        visible = torch.cat([spoken, always], dim=1)
        out = self.language_model(
            inputs_embeds=sequence, attention_mask=attention_mask(visible, sequence.dtype), use_cache=True
        )
        self.trunk(out.last_hidden_state)
        keys_values = tuple((layer.keys, layer.values) for layer in out.past_key_values.layers)
        return Prefix(keys_values, visible, self.target(torch.cat(keypoints, dim=1)))


def attention_mask(visible: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Additive mask (B, 1, 1, P) that hides what is not visible (B, P) from every token, and nothing else."""
    mask = torch.zeros(visible.shape, dtype=dtype, device=visible.device)
    return mask.masked_fill(~visible, torch.finfo(dtype).min)[:, None, None]
