"""Learning from trajectories that older weights played: decoupled PPO (AReaL, arXiv 2505.24298).

Three policies take part: the one that played (behaviour), the one at the start of the update (proximal) and the one
that learns. The clipped ratio is taken against the proximal policy, so that the trust region lies around the weights
that are really there; what the behaviour policy drew too often or too seldom for them is made up for by a weight,
pi_proximal / pi_behaviour, cut off so that rare draws do not rule an update.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class DecoupledConfig:
    """What trajectories of older weights count."""

    max_weight: float = 5.0
    """Largest weight of a ratio; what the behaviour policy drew less likely than that counts no more."""


def behaviour_weights(
    proximal: torch.Tensor, behaviour: torch.Tensor, fresh: torch.Tensor, config: DecoupledConfig
) -> torch.Tensor:
    """Weights of items in the loss.

    Args:
        proximal: (C, *I) log-probabilities under the weights at the start of the update.
        behaviour: (C, *I) log-probabilities under the weights that played.
        fresh: (C,) whether these are the same weights.
        config: the cut.

    Returns:
        (C, *I), without gradient; 1 where fresh, whatever the arithmetic of the rollout made of the log-probabilities.
    """
    old = ~fresh.view(-1, *[1] * (proximal.dim() - 1))
    ratio = (proximal.detach().float() - behaviour.float()).exp().clamp(max=config.max_weight)
    return torch.where(old, ratio, torch.ones_like(ratio))
