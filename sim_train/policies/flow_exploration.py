"""How a flow policy explores, so that what it did has a likelihood: Flow-SDE and Flow-Noise (piRL, arXiv 2510.25889).

A deployed policy integrates the flow without noise. The learned noise of Flow-Noise is trained beside the policy and
never reaches its checkpoint.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from sim_train.policies.flow_steps import sde_step


@dataclass(frozen=True)
class ExplorationConfig:
    """How a flow policy explores."""

    kind: Literal["sde", "noise"] = "sde"
    """Flow-SDE: one step a chunk is random, as widely as `noise_level` says. Flow-Noise: every step is, with a standard
    deviation that is learned; it wants an entropy bonus (rl.update.entropy=0.005). With piRL's bounds it explores less
    widely than Flow-SDE: a policy that has yet to find out what to do learns faster with Flow-SDE."""
    noise_level: float = 0.5
    """a of Flow-SDE, above 0. Of 0.2, 0.5 and 0.8, piRL found 0.2 unstable."""
    low: float = 0.08
    """Least standard deviation of Flow-Noise, of an action whose range is -1..1."""
    high: float = 0.16
    """Largest one."""


def normal_of(uniform: torch.Tensor) -> torch.Tensor:
    """Standard normal numbers of uniform ones in [0, 1), float32; the ends stand for +-4.75."""
    return torch.special.ndtri(uniform.double().clamp(1e-6, 1 - 1e-6)).float()


@dataclass(frozen=True, eq=False)
class FlowDraws:
    """All randomness of B chunks of H steps and A dimensions, taken from noise to actions in K steps."""

    start: torch.Tensor
    """(B, H, A) standard normal: where the flow begins."""
    steps: torch.Tensor
    """(B, K, H, A) standard normal: what stochastic steps add."""
    index: torch.Tensor
    """(B,) int64 in 0..K-1: the one stochastic step of Flow-SDE."""

    @staticmethod
    def size(steps: int, horizon: int, dims: int) -> int:
        """Uniform numbers that one chunk needs."""
        return (steps + 1) * horizon * dims + 1

    @classmethod
    def of(cls, uniform: NDArray[np.float32] | None, batch: int, steps: int, horizon: int, dims: int) -> FlowDraws:
        """Of uniform numbers (B, size) in [0, 1), each row of its own; None: drawn by torch.

        Raises:
            ValueError: draws of another shape.
        """
        shape = (batch, cls.size(steps, horizon, dims))
        if uniform is not None and uniform.shape != shape:
            raise ValueError(f"draws must have shape {shape}; got {uniform.shape}")
        numbers = torch.rand(shape) if uniform is None else torch.from_numpy(uniform)
        normal = normal_of(numbers[:, :-1]).view(batch, steps + 1, horizon, dims)
        return cls(normal[:, 0], normal[:, 1:], (numbers[:, -1] * steps).long().clamp_max(steps - 1))

    def to(self, device: torch.device) -> FlowDraws:
        """The same numbers on another device."""
        return FlowDraws(self.start.to(device), self.steps.to(device), self.index.to(device))


class Exploration(Protocol):
    """Which steps of the flow are random, and how."""

    def stochastic(self, draws: FlowDraws) -> torch.Tensor:
        """(B, K) bool: the steps that add noise."""

    def transition(
        self, x: torch.Tensor, velocity: torch.Tensor, hidden: torch.Tensor, time: torch.Tensor, step: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and standard deviation of a stochastic step from x at `time` to `time - step`.

        Args:
            x: (B, H, A) at `time`.
            velocity: (B, H, A).
            hidden: (B, H, width) the expert's last hidden states.
            time: (B, 1, 1).
            step: d.

        Returns:
            (B, H, A), and a shape that broadcasts against it.
        """


class FlowSde:
    """One stochastic step a chunk, at a place drawn for each chunk; the others follow the flow.

    Args:
        noise_level: a, above 0. Of 0.2, 0.5 and 0.8, piRL found 0.2 unstable.

    Raises:
        ValueError: a noise level that is not above 0 leaves nothing to learn from.
    """

    def __init__(self, noise_level: float = 0.5) -> None:
        if not (math.isfinite(noise_level) and noise_level > 0):
            raise ValueError(f"noise_level must be above 0, or no chunk has a likelihood; got {noise_level}")
        self.noise_level = noise_level

    def stochastic(self, draws: FlowDraws) -> torch.Tensor:
        """(B, K) bool with one true a row."""
        steps = torch.arange(draws.steps.shape[1], device=draws.index.device)
        return draws.index[:, None] == steps

    def transition(
        self, x: torch.Tensor, velocity: torch.Tensor, hidden: torch.Tensor, time: torch.Tensor, step: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """As `sde_step` says."""
        return sde_step(x, velocity, time, step, self.noise_level)


class FlowNoise(nn.Module):
    """Every step adds noise, whose standard deviation is learned.

    Args:
        width: of the expert's hidden states, `policy.expert.width`.
        dims: A, action dimensions.
        low: least standard deviation, of an action whose range is -1..1.
        high: largest one.

    Raises:
        ValueError: not 0 < low < high.
    """

    def __init__(self, width: int, dims: int, low: float = 0.08, high: float = 0.16) -> None:
        super().__init__()
        if not 0 < low < high:
            raise ValueError(f"the noise needs 0 < low < high; got {low}, {high}")
        self.low, self.high = low, high
        with torch.random.fork_rng(devices=[]):  # a policy without it would have the same weights
            torch.manual_seed(0)  # and one that is loaded starts with the same noise
            self.net = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, dims))

    def stochastic(self, draws: FlowDraws) -> torch.Tensor:
        """(B, K) bool, all true."""
        return torch.ones(draws.steps.shape[:2], dtype=torch.bool, device=draws.steps.device)

    def transition(
        self, x: torch.Tensor, velocity: torch.Tensor, hidden: torch.Tensor, time: torch.Tensor, step: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The deterministic step as mean, and a standard deviation in low..high."""
        std = self.low * (self.high / self.low) ** self.net(hidden).sigmoid()
        return x - velocity * step, std


def exploration_of(config: ExplorationConfig, width: int, dims: int) -> Exploration:
    """The exploration that the configuration asks for, of hidden states (..., width) and A = dims action dimensions.

    Raises:
        ValueError: see `FlowSde` and `FlowNoise`.
    """
    return FlowSde(config.noise_level) if config.kind == "sde" else FlowNoise(width, dims, config.low, config.high)
