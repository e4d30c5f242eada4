"""What a probability ratio is taken of: a number of a chunk, or all executed numbers of it together.

A token is a choice of its own, so each has a ratio. A flow's noise is one choice a chunk: the log-densities of its
executed numbers are summed and give one ratio (piRL, arXiv 2510.25889). `Policy.ratio` says which. What is not executed
never counts.
"""

from __future__ import annotations

from typing import Literal

import torch

from sim_train.algorithms.grpo import constant_weights, token_weights

Ratio = Literal["token", "chunk"]


def per_item(values: torch.Tensor, mask: torch.Tensor, ratio: Ratio) -> torch.Tensor:
    """Log-likelihoods of items: (C, H, A) as they are, or their sums (C, 1, 1) over what the mask (C, H, A) leaves."""
    return values if ratio == "token" else (values * mask).sum(dim=(1, 2), keepdim=True)


def mean_per_item(values: torch.Tensor, mask: torch.Tensor, ratio: Ratio) -> torch.Tensor:
    """As `per_item`, with means instead of sums."""
    if ratio == "token":
        return values
    return per_item(values, mask, ratio) / mask.sum(dim=(1, 2), keepdim=True)


def item_weights(
    mask: torch.Tensor, ratio: Ratio, trajectory: torch.Tensor, trajectories: int, constant_chunks: int
) -> torch.Tensor:
    """Share of each item in the loss, (C, H, A) or (C, 1, 1); see `token_weights` and `constant_weights`.

    Args:
        mask: (C, H, A), 1 where a step was executed.
        ratio: of what.
        trajectory: (C,) index of each chunk's trajectory, 0..trajectories-1.
        trajectories: how many there are.
        constant_chunks: 0 for means over each trajectory, else the chunks of the longest one possible.
    """
    items = mask if ratio == "token" else torch.ones(len(mask), 1, 1)
    if constant_chunks:
        return constant_weights(items, constant_chunks, trajectories)
    return token_weights(items, trajectory, trajectories)
