"""What the imitation losses of all kinds of policies share: settings, report, smoothed tokens, a sense of place.

A hard target would tell the policy that the bin next to the expert's is as wrong as the farthest one, and would leave
no entropy to explore with afterwards. So the target is a Gaussian over the bins. The auxiliary loss asks the visual
features where the named object is; it is what makes few demonstrations enough, and is not used after imitation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn.functional import smooth_l1_loss


@dataclass(frozen=True)
class SftLossConfig:
    """Weights of the imitation loss."""

    sigma: float = 0.05
    """Of kinds with tokens: standard deviation of the target over the bins, as a share of the action's range."""
    auxiliary: float = 0.3
    """Weight of the target-position loss, of kinds that have one."""
    position_scale_m: float = 0.05
    """Error in metres that counts as 1 in the auxiliary loss."""


@dataclass(frozen=True)
class SftReport:
    """Sums over one share of a mini-batch, weighted so that the shares add up to the mini-batch's means."""

    imitation_loss: float
    """Without the auxiliary loss and, for kinds with tokens, above the targets' own entropy. Tokens and Gaussians:
    nats; flows: squared error of the velocity with ranges scaled to -1..1."""
    target_error_mm: float | None
    """Error of the auxiliary estimate of the target's place; None for kinds without one."""


def merge_sft_reports(reports: Sequence[SftReport]) -> SftReport:
    """The report of a mini-batch that was done in several shares."""
    errors = [report.target_error_mm for report in reports if report.target_error_mm is not None]
    return SftReport(sum(report.imitation_loss for report in reports), sum(errors) if errors else None)


def smoothed_targets(place: torch.Tensor, centres: torch.Tensor, sigma: float) -> torch.Tensor:
    """Gaussian weights over the bins around each action, normalised over the bins that exist.

    Args:
        place: (...) of each action in its range, 0..1; values outside count as its end.
        centres: (bins,) of the bins, in the same range.
        sigma: standard deviation as a share of the range, above 0.

    Returns:
        (..., bins), each row summing to 1.
    """
    if not sigma > 0:
        raise ValueError(f"sigma must be above 0 (a share of the action's range); got {sigma}")
    return (-0.5 * ((centres - place.clamp(0, 1)[..., None]) / sigma) ** 2).softmax(-1)


def cross_entropy(logits: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor) -> tuple[torch.Tensor, float]:
    """Weighted cross-entropy of logits (..., bins) against targets (..., bins), and its excess over their entropy."""
    loss = (-(targets * logits.log_softmax(-1)).sum(-1) * weights).sum()
    with torch.no_grad():
        floor = -(targets * targets.clamp_min(1e-12).log()).sum(-1)
        return loss, float(loss - (floor * weights).sum())


def place_loss(
    estimate: torch.Tensor, target_position: torch.Tensor, weights: torch.Tensor, config: SftLossConfig
) -> tuple[torch.Tensor, float]:
    """The auxiliary loss, weighted like the actions, and the error in millimetres.

    Args:
        estimate: (B, 3) of the target's place, metres in the base frame.
        target_position: (B, 3) the truth; a row that is NaN, as in recordings of a real robot, is left out.
        weights: (B, H, A) of the actions.
        config: which error counts as 1, and the loss's weight.
    """
    truth = torch.where(target_position.isnan(), estimate.detach(), target_position)
    error = (estimate - truth) / config.position_scale_m
    rows = weights.sum(dim=(1, 2))
    loss = (smooth_l1_loss(error, torch.zeros_like(error), reduction="none").mean(-1) * rows).sum()
    with torch.no_grad():
        error_mm = float(((estimate - truth).norm(dim=-1) * rows).sum()) * 1000
    return config.auxiliary * loss, error_mm
