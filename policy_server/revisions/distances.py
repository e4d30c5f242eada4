"""How far apart two answers are."""

import numpy as np
from numpy.typing import NDArray
from policy_api.schema import PolicySpec


def distances(spec: PolicySpec, actions: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float64]:
    """Differences of two answers (.., H, A), number by number, as a share of each action's range."""
    span = np.array([field.upper - field.lower for field in spec.action])
    return np.abs(actions.astype(np.float64) - others) / span
