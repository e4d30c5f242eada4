"""Logits over action tokens -> tokens and their likelihood, at a temperature."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from sim_train.policies.protocol import LogProb


def log_softmax(logits: torch.Tensor, temperature: float) -> torch.Tensor:
    """Log-probabilities (..., bins) at a temperature above 0; ValueError for another."""
    if not temperature > 0:
        raise ValueError(f"log-probabilities need a temperature above 0; got {temperature}")
    return (logits / temperature).log_softmax(-1)


def choose_tokens(
    logits: torch.Tensor, temperature: float, draws: NDArray[np.float32] | None
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """One token for each place.

    Args:
        logits: (B, H, A, bins).
        temperature: 0 takes the likeliest; otherwise tokens are sampled at this temperature.
        draws: (B, H * A) uniform numbers in [0, 1) that decide what is sampled; None: drawn by torch.

    Returns:
        Tokens (B, H, A) in 0..bins-1 and their log-probabilities; those of the likeliest ones are at temperature 1.

    Raises:
        ValueError: a temperature below 0 or not finite, or draws of another shape.
    """
    if not (np.isfinite(temperature) and temperature >= 0):
        raise ValueError(f"temperature must be 0 (greedy) or positive; got {temperature}")
    log_probs = log_softmax(logits, temperature or 1.0).cpu()
    if temperature:
        below = log_probs.exp().cumsum(-1)
        uniform = _uniform(draws, below.shape[:-1])
        tokens = torch.searchsorted(below, uniform[..., None] * below[..., -1:], right=True).squeeze(-1)
        tokens = tokens.clamp_max(below.shape[-1] - 1)  # where rounding made the product the whole sum
    else:
        tokens = log_probs.argmax(-1)
    chosen = log_probs.gather(-1, tokens[..., None]).squeeze(-1)
    return tokens.numpy(), chosen.numpy()


def token_log_prob(logits: torch.Tensor, tokens: torch.Tensor, temperature: float) -> LogProb:
    """Likelihood and entropy (B, H, A) of tokens (B, H, A) under logits (B, H, A, bins) at a temperature above 0."""
    log_probs = log_softmax(logits, temperature)
    chosen = log_probs.gather(-1, tokens.to(log_probs.device)[..., None]).squeeze(-1)
    return LogProb(chosen, -(log_probs.exp() * log_probs).sum(-1))


def _uniform(draws: NDArray[np.float32] | None, shape: torch.Size) -> torch.Tensor:
    if draws is None:
        return torch.rand(shape)
    if draws.shape != (shape[0], shape[1:].numel()):
        raise ValueError(f"draws must have shape {(shape[0], shape[1:].numel())}; got {draws.shape}")
    return torch.from_numpy(draws).view(shape)
