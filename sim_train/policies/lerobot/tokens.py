"""What both networks do to images, to the parts of an observation and to noised actions before attention."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from sim_train.policies.lerobot.config import LeRobotConfig

PADDING = -1
"""Stands in a row of text where there is no token, whatever the tokenizer pads with."""


@dataclass(frozen=True, eq=False)
class Encoded:
    """An encoded observation, B rows of P tokens: what the expert reads."""

    keys_values: tuple[tuple[torch.Tensor, torch.Tensor], ...]
    """For each layer the keys and the values, (B, kv_heads, P, head width)."""
    visible: torch.Tensor
    """(B, P) bool; false for padding."""
    state: torch.Tensor
    """(B, max_state_dim) normalised and padded."""

    def __getitem__(self, rows: torch.Tensor) -> Encoded:
        """The given rows, as often as they are named."""
        return Encoded(tuple((k[rows], v[rows]) for k, v in self.keys_values), self.visible[rows], self.state[rows])


def pixels(image: torch.Tensor, size: int) -> torch.Tensor:
    """Images (B, S, S, 3) uint8 -> (B, 3, size, size) float32 in -1..1, resized bilinearly as LeRobot does."""
    channels_first = image.permute(0, 3, 1, 2).float() / 255
    if image.shape[1] != size:
        channels_first = functional.interpolate(channels_first, (size, size), mode="bilinear", align_corners=False)
    return channels_first * 2 - 1


def padded(vector: torch.Tensor, width: int) -> torch.Tensor:
    """(..., n) with zeros after it -> (..., width)."""
    return functional.pad(vector, (0, width - vector.shape[-1]))


def time_waves(time: torch.Tensor, width: int, min_period: float, max_period: float) -> torch.Tensor:
    """Sines and cosines (B, width) of times (B,); periods evenly spaced in their logarithm, computed in float64."""
    share = torch.linspace(0, 1, width // 2, dtype=torch.float64, device=time.device)
    angle = 2 * math.pi * time.double()[:, None] / (min_period * (max_period / min_period) ** share)
    return torch.cat([angle.sin(), angle.cos()], dim=1)


class Actions(nn.Module):
    """Noised actions and time -> tokens of the expert; its hidden states -> velocity. As in pi0."""

    def __init__(self, config: LeRobotConfig) -> None:
        super().__init__()
        width = config.expert_width
        self.periods = (config.min_period, config.max_period)
        self.enter = nn.Linear(config.max_action_dim, width)
        self.mix_in = nn.Linear(2 * width, width)
        self.mix_out = nn.Linear(width, width)
        self.leave = nn.Linear(width, config.max_action_dim)

    def forward(self, noised: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        """Tokens (B, chunk, width) of noised actions (B, chunk, max_action_dim) at times (B,)."""
        embedded = self.enter(noised)
        waves = time_waves(time, embedded.shape[-1], *self.periods).to(embedded.dtype)
        both = torch.cat([embedded, waves[:, None].expand_as(embedded)], dim=-1)
        return self.mix_out(functional.silu(self.mix_in(both)))


def places(visible: torch.Tensor) -> torch.Tensor:
    """Positions (B, P) of tokens for rotary embedding: padding takes no place."""
    return (visible.cumsum(1) - 1).clamp_min(0)
