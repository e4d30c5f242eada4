"""Greedy success on starting points that nothing trains on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from policy_api.intervals import wilson_interval

from sim_train.policies.kinds import StoredPolicy
from sim_train.rollouts.episodes import Job
from sim_train.rollouts.pool import WorkerPool
from sim_train.rollouts.worker import PolicyTask
from sim_train.stages.seeds import validation_seeds


@dataclass(frozen=True)
class SuccessRate:
    """Successes of so many episodes."""

    successes: int
    episodes: int

    @property
    def rate(self) -> float:
        """Share of successes."""
        return self.successes / self.episodes

    def to_plain(self) -> dict[str, Any]:
        """For a record: rate, 95 % interval, episodes."""
        low, high = wilson_interval(self.successes, self.episodes)
        return {"success": self.rate, "success_ci95": [low, high], "episodes": self.episodes}

    def __str__(self) -> str:
        low, high = wilson_interval(self.successes, self.episodes)
        return f"{self.rate:.1%} ({low:.0%}..{high:.0%}, {self.episodes} episodes)"


def validate(
    pool: WorkerPool, policy: StoredPolicy, version: int, episodes: int, temperature: float = 0.0
) -> SuccessRate:
    """Success of the policy on validation seeds; greedy unless a temperature is given."""
    pool.set_policy(policy, version)
    jobs = [Job(i, seed, 1) for i, seed in enumerate(validation_seeds(episodes))]
    played, _ = pool.play(jobs, PolicyTask(temperature), seed=version)
    return SuccessRate(int(played.success.sum()), episodes)
