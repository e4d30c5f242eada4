"""What every kind of policy does with observations before it looks at them: the check, and the scale of states."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from policy_api.schema import PolicySpec


def check_observations(
    spec: PolicySpec, images: Mapping[str, NDArray[np.uint8]], state: NDArray[np.float32], batch: int
) -> None:
    """Hold `batch` observations against the contract: `images` camera -> (B, S, S, 3), `state` (B, fields).

    Raises:
        ValueError: a camera too few or too many, a wrong shape or type, a state that is not finite.
    """
    expected = {c.name: (batch, c.input_size, c.input_size, 3) for c in spec.cameras}
    if images.keys() != expected.keys():
        raise ValueError(f"the policy needs the cameras {sorted(expected)}; got {sorted(images)}")
    for name, shape in expected.items():
        if images[name].shape != shape or images[name].dtype != np.uint8:
            raise ValueError(
                f"image of camera {name!r} must be uint8 {shape}; got {images[name].dtype} {images[name].shape}"
            )
    if state.shape != (batch, len(spec.state)) or not np.isfinite(state).all():
        raise ValueError(f"state must be finite and {(batch, len(spec.state))}; got shape {state.shape}")


def state_scale(states: torch.Tensor) -> torch.Tensor:
    """(S,) standard deviation of (N, S) recorded states, at least 1e-3; 1 each if there is a single one."""
    return states.std(0).clamp_min(1e-3) if len(states) > 1 else torch.ones_like(states[0])
