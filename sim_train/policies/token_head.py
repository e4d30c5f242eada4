"""The token head: hidden states -> logits over the bins, smooth along the bins.

The language model's output layer, restricted to the action tokens and factored into a learned part and a fixed cosine
basis over the bins. Bins are ordered, so neighbours should be about as likely: what one sampled bin teaches then also
holds for the bins next to it.
"""

from __future__ import annotations

import math

import torch
from torch import nn


def cosine_basis(bins: int, rank: int) -> torch.Tensor:
    """The first `rank` cosines (DCT-II without the constant, which a softmax ignores) over the bins: (rank, bins)."""
    place = (torch.arange(bins, dtype=torch.float64) + 0.5) / bins
    order = torch.arange(1, rank + 1, dtype=torch.float64)
    return torch.cos(math.pi * order[:, None] * place[None]).float()


class TokenHead(nn.Module):
    """Logits over the bins as a learned mixture of `rank` cosines.

    Args:
        width: of the hidden states.
        bins: tokens an action dimension.
        rank: cosines; the finest detail is about bins / rank bins wide.

    Raises:
        ValueError: a rank outside 1..bins-1.
    """

    def __init__(self, width: int, bins: int, rank: int) -> None:
        super().__init__()
        if not 1 <= rank < bins:
            raise ValueError(f"head rank must lie in 1..{bins - 1}; got {rank}")
        self.mix = nn.Linear(width, rank)
        self.register_buffer("basis", cosine_basis(bins, rank), persistent=False)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """Logits (..., bins) in float32 of hidden states (..., width)."""
        mixture = self.mix(hidden).float()
        with torch.autocast(hidden.device.type, enabled=False):
            return mixture @ self.get_buffer("basis")
