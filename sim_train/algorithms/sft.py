"""Imitation with smoothed tokens and an auxiliary sense of place.

A hard target would tell the policy that the bin next to the expert's is as wrong as the farthest one, and would leave
no entropy to explore with afterwards. So the target is a Gaussian over the bins. The auxiliary loss asks the visual
features where the named object is; it is what makes few demonstrations enough, and is not used after this stage.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn.functional import smooth_l1_loss

from sim_train.policies.protocol import PolicyInputs
from sim_train.policies.token_vla import TokenVla


@dataclass(frozen=True)
class SftLossConfig:
    """Weights of the imitation loss."""

    sigma: float = 0.05
    """Standard deviation of the target over the bins, as a share of the action's range."""
    auxiliary: float = 0.3
    """Weight of the target-position loss."""
    position_scale_m: float = 0.05
    """Error in metres that counts as 1 in the auxiliary loss."""


@dataclass(frozen=True)
class SftReport:
    """Sums over one share of a mini-batch, weighted so that the shares add up to the mini-batch's means."""

    excess_nats: float
    """Cross-entropy above the targets' own entropy; 0 is perfect."""
    target_error_mm: float
    """Error of the auxiliary estimate."""


def smoothed_targets(
    actions: torch.Tensor, lower: torch.Tensor, upper: torch.Tensor, bins: int, sigma: float
) -> torch.Tensor:
    """Gaussian weights over the bins around each action, normalised over the bins that exist.

    Args:
        actions: (..., A) physical units; values outside the range count as its end.
        lower: (A,) lower bounds.
        upper: (A,) upper bounds.
        bins: bins a dimension.
        sigma: standard deviation as a share of the range, above 0.

    Returns:
        (..., A, bins), each row summing to 1.
    """
    if not sigma > 0:
        raise ValueError(f"sigma must be above 0 (a share of the action's range); got {sigma}")
    place = ((actions - lower) / (upper - lower)).clamp(0, 1)
    centres = (torch.arange(bins) + 0.5) / bins
    return (-0.5 * ((centres - place[..., None]) / sigma) ** 2).softmax(-1)


def sft_loss(
    policy: TokenVla,
    inputs: PolicyInputs,
    targets: torch.Tensor,
    weights: torch.Tensor,
    target_position: torch.Tensor,
    config: SftLossConfig,
) -> tuple[torch.Tensor, SftReport]:
    """Cross-entropy against smoothed targets plus the auxiliary loss, for one share of a mini-batch.

    Args:
        policy: the learner.
        inputs: B observations.
        targets: (B, H, A, bins) from `smoothed_targets`.
        weights: (B, H, A) of the tokens; over the whole mini-batch they sum to 1. Zero where a step was not executed.
        target_position: (B, 3) metres, base frame.
        config: weights of the parts.

    Returns:
        The share's part of the loss, and of the report.
    """
    logits, estimate = policy(inputs)
    imitation = (-(targets * logits.log_softmax(-1)).sum(-1) * weights).sum()
    error = (estimate - target_position) / config.position_scale_m
    rows = weights.sum(dim=(1, 2))
    auxiliary = (smooth_l1_loss(error, torch.zeros_like(error), reduction="none").mean(-1) * rows).sum()
    with torch.no_grad():
        floor = -(targets * targets.clamp_min(1e-12).log()).sum(-1)
        report = SftReport(
            excess_nats=float(imitation - (floor * weights).sum()),
            target_error_mm=float(((estimate - target_position).norm(dim=-1) * rows).sum()) * 1000,
        )
    return imitation + config.auxiliary * auxiliary, report
