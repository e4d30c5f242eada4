"""What the rollouts need of an environment; `sim_train.envs.BatchEnv` offers it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from policy_api.schema import PolicySpec


class Observations(Protocol):
    """What n policies see; see `sim_train.envs.Observations`."""

    @property
    def images(self) -> dict[str, NDArray[np.uint8]]:
        """Camera -> (n, S, S, 3)."""

    @property
    def state(self) -> NDArray[np.float32]:
        """(n, 7)."""

    @property
    def instructions(self) -> list[str]:
        """n texts."""

    @property
    def target_position(self) -> NDArray[np.float32]:
        """(n, 3) metres, base frame; privileged."""


class StepResult(Protocol):
    """What one chunk led to; see `sim_train.envs.StepResult`."""

    @property
    def observations(self) -> Observations:
        """What is seen after the chunk."""

    @property
    def success(self) -> NDArray[np.bool_]:
        """(n,) task done."""

    @property
    def executed_steps(self) -> NDArray[np.int64]:
        """(n,) in 1..H."""

    @property
    def done(self) -> NDArray[np.bool_]:
        """(n,) episode over."""

    @property
    def fault(self) -> NDArray[np.bool_]:
        """(n,) episode invalid."""


class Environment(Protocol):
    """Many independent worlds in one process."""

    spec: PolicySpec
    num_envs: int
    max_chunks: int

    def reset(self, seeds: Sequence[int], indices: Sequence[int]) -> Observations:
        """Start the episodes of `seeds` in the worlds `indices`."""

    def step(self, actions: NDArray[np.float32], indices: Sequence[int]) -> StepResult:
        """Play one chunk (n, H, A) in the worlds `indices`."""

    def expert_actions(self, indices: Sequence[int]) -> NDArray[np.float32]:
        """The scripted expert's next chunk for each world, (n, H, A)."""

    def close(self) -> None:
        """Free everything."""


class MultiTaskEnvironment(Environment, Protocol):
    """One that offers several tasks, or levels of difficulty."""

    def reset(
        self,
        seeds: Sequence[int],
        indices: Sequence[int],
        tasks: Sequence[int] | None = None,
        levels: Sequence[float] | None = None,
    ) -> Observations:
        """Start episodes of these tasks (default: the first) at these levels in 0..1 (default: 1, the hardest)."""


MakeEnvironment = Callable[[int], Environment]
"""Makes an environment with that many worlds. Must be importable by name: worker processes start from nothing."""
