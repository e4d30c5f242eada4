"""Who chooses the actions of an episode: a policy, or the scripted expert."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sim_train.policies.protocol import Policy
from sim_train.rollouts.environment import Environment, Observations
from sim_train.rollouts.inference import Answer, Line, Query, answer


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
    cpu_s: float = 0.0
    """Processor time that others spent on it."""


class Player(Protocol):
    """Chooses chunks."""

    def choose(
        self, env: Environment, indices: Sequence[int], seen: Observations, rngs: Sequence[np.random.Generator]
    ) -> Choice:
        """One chunk for each of the worlds `indices`, of which `seen` was observed, and `rngs` are the randomness."""

    def ask(
        self, env: Environment, indices: Sequence[int], seen: Observations, rngs: Sequence[np.random.Generator]
    ) -> Callable[[], Choice]:
        """As `choose`, for players that think elsewhere: the result waits for what they chose. Others choose now."""
        choice = self.choose(env, indices, seen, rngs)
        return lambda: choice


class PolicyPlayer(Player):
    """A policy at a temperature (0: greedy)."""

    def __init__(self, policy: Policy, temperature: float) -> None:
        self.policy = policy
        self.temperature = temperature

    def choose(
        self, env: Environment, indices: Sequence[int], seen: Observations, rngs: Sequence[np.random.Generator]
    ) -> Choice:
        """Ask the policy."""
        query = _query(0, self.temperature, self.policy.draw_size, seen, rngs)
        return _choice(answer(self.policy, [query])[0])


class SharedPlayer(Player):
    """A policy that an inference worker has.

    Args:
        line: to that worker.
        weights: number of the weights that are to answer.
        draw_size: of the policy.
        temperature: 0: greedy.
    """

    def __init__(self, line: Line, weights: int, draw_size: int, temperature: float) -> None:
        self.line = line
        self.weights = weights
        self.draw_size = draw_size
        self.temperature = temperature

    def choose(
        self, env: Environment, indices: Sequence[int], seen: Observations, rngs: Sequence[np.random.Generator]
    ) -> Choice:
        """Ask and wait."""
        return self.ask(env, indices, seen, rngs)()

    def ask(
        self, env: Environment, indices: Sequence[int], seen: Observations, rngs: Sequence[np.random.Generator]
    ) -> Callable[[], Choice]:
        """Ask; the result waits. It raises InferenceError if there is no answer."""
        answered = self.line.ask(_query(self.weights, self.temperature, self.draw_size, seen, rngs))
        return lambda: _choice(answered())


def _query(
    weights: int, temperature: float, draw_size: int, seen: Observations, rngs: Sequence[np.random.Generator]
) -> Query:
    draws = np.stack([rng.random(draw_size, dtype=np.float32) for rng in rngs]) if temperature else None
    return Query(weights, temperature, seen.images, seen.state, seen.instructions, draws)


def _choice(answered: Answer) -> Choice:
    return Choice(answered.actions, answered.actions, answered.drawn, answered.log_probs, answered.cpu_s)


class ExpertPlayer(Player):
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
