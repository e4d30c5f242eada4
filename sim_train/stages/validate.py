"""Greedy success on starting points that nothing trains on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from policy_api.intervals import wilson_interval

from sim_train.policies.kinds import StoredPolicy
from sim_train.rollouts.engine import RolloutEngine
from sim_train.rollouts.episodes import Job
from sim_train.rollouts.worker import PolicyTask
from sim_train.stages.seeds import validation_seeds


@dataclass(frozen=True)
class SuccessRate:
    """Successes of so many episodes; of several tasks the same number each, so that the rate is their mean."""

    successes: int
    episodes: int
    tasks: Mapping[str, SuccessRate] = field(default_factory=dict)
    """By task, where there are several."""

    @property
    def rate(self) -> float:
        """Share of successes."""
        return self.successes / self.episodes

    @property
    def least(self) -> float:
        """Rate of the task that does worst."""
        return min((task.rate for task in self.tasks.values()), default=self.rate)

    def to_plain(self) -> dict[str, Any]:
        """For a record: rate, 95 % interval, episodes; with several tasks the same of each."""
        low, high = wilson_interval(self.successes, self.episodes)
        plain: dict[str, Any] = {"success": self.rate, "success_ci95": [low, high], "episodes": self.episodes}
        return plain | ({"tasks": {name: task.to_plain() for name, task in self.tasks.items()}} if self.tasks else {})

    @classmethod
    def of(cls, tasks: Mapping[str, SuccessRate]) -> SuccessRate:
        """Of several tasks together."""
        return cls(sum(task.successes for task in tasks.values()), sum(task.episodes for task in tasks.values()), tasks)

    def __str__(self) -> str:
        low, high = wilson_interval(self.successes, self.episodes)
        each = ", ".join(f"{name} {task.rate:.0%}" for name, task in self.tasks.items())
        return f"{self.rate:.1%} ({low:.0%}..{high:.0%}, {self.episodes} episodes{': ' + each if each else ''})"


def episodes_each(episodes: int, tasks: int) -> int:
    """Validation episodes of each of some tasks, so that there are at least `episodes` in all."""
    return -(-episodes // tasks)


def validate(
    pool: RolloutEngine,
    policy: StoredPolicy,
    version: int,
    episodes: int,
    temperature: float = 0.0,
    tasks: Sequence[str] = ("",),
) -> SuccessRate:
    """Success of the policy on validation seeds at full difficulty; greedy unless a temperature is given.

    Args:
        pool: whose worlds offer the tasks.
        policy: who plays.
        version: of its weights.
        episodes: at least so many in all, the same number of each task.
        temperature: of the policy.
        tasks: their names, in the order of their numbers; the name does not matter where there is one.
    """
    pool.set_policy(policy, version)
    each = episodes_each(episodes, len(tasks))
    seeds = validation_seeds(each)
    jobs = [Job(number * each + i, seed, 1, number) for number in range(len(tasks)) for i, seed in enumerate(seeds)]
    played, _ = pool.play(jobs, PolicyTask(temperature), seed=version)
    found = {name: SuccessRate(int(played.success[played.task == i].sum()), each) for i, name in enumerate(tasks)}
    return SuccessRate.of(found) if len(tasks) > 1 else found[tasks[0]]
