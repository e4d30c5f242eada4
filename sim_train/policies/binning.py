"""Continuous actions <-> tokens: equal bins over each action dimension's range."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


class ActionBinning:
    """Equal bins over [lower, upper] of every action dimension.

    Args:
        lower: (A,) lower bounds in physical units.
        upper: (A,) upper bounds, above `lower`.
        bins: bins a dimension.

    Raises:
        ValueError: bounds that do not fit together, or fewer than two bins.
    """

    def __init__(self, lower: ArrayLike, upper: ArrayLike, bins: int) -> None:
        self.lower = np.asarray(lower, dtype=np.float64)
        self.upper = np.asarray(upper, dtype=np.float64)
        self.bins = bins
        if self.lower.ndim != 1 or self.lower.shape != self.upper.shape:
            raise ValueError(
                f"action bounds must be two vectors of equal length; got {self.lower.shape}, {self.upper.shape}"
            )
        if not (np.isfinite(self.lower).all() and np.isfinite(self.upper).all()):
            raise ValueError("action bounds must be finite: a token policy needs a closed range for every dimension")
        if not (self.lower < self.upper).all():
            raise ValueError(f"action lower bounds {self.lower} must lie below upper bounds {self.upper}")
        if bins < 2:
            raise ValueError(f"bins must be at least 2; got {bins}")
        self.width = (self.upper - self.lower) / bins

    def encode(self, actions: ArrayLike) -> NDArray[np.int64]:
        """Tokens (..., A) in 0..bins-1 of actions (..., A); values outside the range go to the outermost bin.

        Raises:
            ValueError: wrong last axis, or a value that is not finite.
        """
        values = np.asarray(actions, dtype=np.float64)
        if values.shape[-1:] != self.lower.shape:
            raise ValueError(f"actions must end in {self.lower.shape[0]} dimensions; got shape {values.shape}")
        if not np.isfinite(values).all():
            raise ValueError("actions hold NaN or infinity and cannot be turned into tokens")
        return np.clip(np.floor((values - self.lower) / self.width), 0, self.bins - 1).astype(np.int64)

    def decode(self, tokens: ArrayLike) -> NDArray[np.float32]:
        """Bin centres (..., A) in physical units of tokens (..., A).

        Raises:
            ValueError: wrong last axis, or a token outside 0..bins-1.
        """
        indices = np.asarray(tokens, dtype=np.int64)
        if indices.shape[-1:] != self.lower.shape:
            raise ValueError(f"tokens must end in {self.lower.shape[0]} dimensions; got shape {indices.shape}")
        if indices.size and (indices.min() < 0 or indices.max() >= self.bins):
            raise ValueError(f"tokens must lie in 0..{self.bins - 1}; got {indices.min()}..{indices.max()}")
        return (self.lower + (indices + 0.5) * self.width).astype(np.float32)
