"""Who chooses the actions of an episode: a policy, or the scripted expert."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sim_train.policies.protocol import Policy
from sim_train.rollouts.environment import Environment, Observations


@dataclass(frozen=True, eq=False)
class Choice:
    """One chunk for each of n worlds."""

    played: NDArray[np.float32]
    """(n, H, A) what the worlds execute."""
    recorded: NDArray[np.float32]
    """(n, H, A) what is remembered as the right answer; differs from `played` where noise was added."""
    drawn: dict[str, NDArray[np.generic]]
    """n rows each; see `PolicyOutput`."""
    log_probs: NDArray[np.float32]
    """(n, H, A)."""


class Player(Protocol):
    """Chooses chunks."""

    def choose(
        self, env: Environment, indices: Sequence[int], seen: Observations, rngs: Sequence[np.random.Generator]
    ) -> Choice:
        """One chunk for each of the worlds `indices`, of which `seen` was observed, and `rngs` are the randomness."""


class PolicyPlayer:
    """A policy at a temperature (0: greedy)."""

    def __init__(self, policy: Policy, temperature: float) -> None:
        self.policy = policy
        self.temperature = temperature

    def choose(
        self, env: Environment, indices: Sequence[int], seen: Observations, rngs: Sequence[np.random.Generator]
    ) -> Choice:
        """Ask the policy."""
        draws = None
        if self.temperature:
            draws = np.stack([rng.random(self.policy.draw_size, dtype=np.float32) for rng in rngs])
        count = len(indices)
        if count > 1:
            out = self.policy.act(seen.images, seen.state, seen.instructions, self.temperature, draws)
        else:  # asked twice: a product with a single row may be rounded in another way than one with many
            images = {name: image.repeat(2, axis=0) for name, image in seen.images.items()}
            draws = draws.repeat(2, axis=0) if draws is not None else None
            state = seen.state.repeat(2, axis=0)
            out = self.policy.act(images, state, [*seen.instructions] * 2, self.temperature, draws)
        drawn = {name: array[:count] for name, array in out.drawn.items()} if self.temperature else {}
        return Choice(out.actions[:count], out.actions[:count], drawn, out.log_probs[:count])


class ExpertPlayer:
    """The scripted expert, disturbed while it acts but remembered undisturbed.

    The noise (as in DART, arXiv 1703.09327) shows the learner states next to the expert's path together with the way
    back. It is added to every action dimension, as a share of the dimension's range.
    """

    def __init__(self, env: Environment, noise: NDArray[np.float64]) -> None:
        self.lower, self.upper = (
            np.array([getattr(field, end) for field in env.spec.action]) for end in ("lower", "upper")
        )
        self.sigma = np.asarray(noise) * (self.upper - self.lower)

    def choose(
        self, env: Environment, indices: Sequence[int], seen: Observations, rngs: Sequence[np.random.Generator]
    ) -> Choice:
        """Ask the expert."""
        right = env.expert_actions(indices)
        disturbed = right + self.sigma * np.stack([rng.standard_normal(right.shape[1:]) for rng in rngs])
        lower, upper = self.lower.astype(np.float32), self.upper.astype(np.float32)
        played = np.clip(disturbed.astype(np.float32), lower, upper)
        return Choice(played, np.clip(right, lower, upper), {}, np.zeros(right.shape, dtype=np.float32))
