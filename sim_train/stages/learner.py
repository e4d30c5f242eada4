"""One update of reinforcement: sample, compare, learn."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any

import numpy as np

from sim_train.algorithms.advantages import group_advantages
from sim_train.algorithms.ppo import PpoUpdater
from sim_train.algorithms.sampling import Sample, acceptance, draw, draw_all, first_wave
from sim_train.algorithms.updater import UpdateReport
from sim_train.policies.kinds import StoredPolicy
from sim_train.rollouts.ahead import AheadEngine, check_staleness
from sim_train.rollouts.episodes import Job
from sim_train.rollouts.trajectories import Trajectories
from sim_train.rollouts.worker import PolicyTask
from sim_train.stages.learning import Learning
from sim_train.stages.ledger import Ledger
from sim_train.stages.lessons import Lessons
from sim_train.stages.run import Run
from sim_train.stages.seeds import TrainingSeeds
from sim_train.stages.validate import SuccessRate, validate

RL_SEEDS_FROM = 100_000
"""Training seeds before this are left to demonstrations."""
_START_GUESS = 0.3  # sampled success that the first wave is sized for


class StartRateError(RuntimeError):
    """The policy succeeds too seldom for RL to learn from."""


class Reinforcement:
    """Improves a policy update by update.

    Args:
        run: what it is part of.
        start: policy to begin with, or its checkpoint.
    """

    def __init__(self, run: Run, start: StoredPolicy | Path) -> None:
        self.run = run
        self.config = run.config.rl
        self.learning = run.share(Learning, run.config, start)
        self.updater = self.learning.mine.updater
        self.seeds = TrainingSeeds(run.config.seed, RL_SEEDS_FROM)
        self.rng = np.random.default_rng(run.config.seed)
        self.version = 0
        self.episodes = 0
        self.seconds = 0.0
        self.acceptance = acceptance(_START_GUESS, self.config.sampling.group_size)
        self.tasks = run.config.worlds.tasks
        self.lessons = Lessons(
            self.tasks,
            self.config.sampling.task_weights,
            run.config.curriculum,
            self.config.sampling.group_size,
        )
        self.ledger = Ledger()
        self.promised: tuple[int, dict[str, Any]] | None = None
        """Seeds used and state of the lessons before what is being played ahead; a resumed run plays that again."""
        self.carried: Trajectories | None = None
        self.best: tuple[float, int] = (-1.0, 0)
        self.best_result = SuccessRate(0, 1)
        """Of the validation of `best`."""
        self.validated = -1.0  # greedy success at the check before
        self.stale = 0
        """Validations since success rose last."""
        self.best_arrays = self.learning.call("weights", "best.")

    @property
    def policy(self) -> StoredPolicy:
        """The policy with its present weights, to play with or to save."""
        plain: StoredPolicy = self.learning.call("plain")
        return plain

    def _play(self, groups: int) -> Trajectories:
        pool = self.run.pool
        if isinstance(pool, AheadEngine) and pool.pending:
            played, report = pool.collect()
            self.promised = None
        else:
            played, report = pool.play(self._jobs(groups), self._task, seed=self.seeds.used)
        self.ledger.book(report)
        self.lessons.saw(played)
        self.episodes += len(played)
        return played

    @property
    def _task(self) -> PolicyTask:
        return PolicyTask(self.config.update.temperature)

    def _jobs(self, groups: int) -> list[Job]:
        return self.lessons.jobs(self.episodes // self.config.sampling.group_size, self.seeds.take(groups))

    def _play_ahead(self) -> None:
        """Let the first groups of the next update be played with the present weights, if rollouts are asynchronous."""
        pool, sampling = self.run.pool, self.config.sampling
        if not isinstance(pool, AheadEngine) or pool.pending:
            return
        groups = sampling.groups
        if not isinstance(self.updater, PpoUpdater):
            groups = first_wave(sampling, self.carried, self.version + 1, self.acceptance)
        if groups:
            self.promised = (self.seeds.used, self.lessons.state())
            pool.play_ahead(self._jobs(groups), self._task, seed=self.seeds.used)

    def advance(self) -> dict[str, Any]:
        """One update: sample, learn; returns what happened.

        Raises:
            StartRateError: at the first update, sampled success is too low to learn from.
        """
        started = time.monotonic()
        self.ledger.open()
        self.run.pool.set_policy(self.policy, self.version)
        if isinstance(self.updater, PpoUpdater):
            sample = draw_all(self._play, self.config.sampling)
        else:
            sample = draw(self._play, self.config.sampling, self.carried, self.version, self.acceptance)
        sampled = time.monotonic()
        if self.version == 0 and sample.success < self.config.min_start:
            raise StartRateError(
                f"sampled success is {sample.success:.1%} of {self.episodes} episodes, below "
                f"{self.config.min_start:.0%}: almost every group would fail as a whole and teach nothing. Give SFT "
                "more demonstrations (demonstrations.episodes) or steps (sft.steps); or begin with an easier task, "
                "whose knobs get harder as success rises (curriculum.knobs); then hold RL close to what SFT has "
                "learned (rl.anchor.weight=0.2). rl.min_start=0 starts all the same"
            )
        record = self._describe(sample)
        self.carried = sample.surplus
        if sample.groups:
            rate = sample.mixed / sample.groups
            self.acceptance = 0.7 * self.acceptance + 0.3 * rate
        self._play_ahead()
        if sample.trajectories is not None:
            check_staleness(sample.trajectories, self.version)
            report = self._learn(sample.trajectories)
            record |= {name: _finite(value) for name, value in dataclasses.asdict(report).items()}
            record["staleness"] = float((self.version - sample.trajectories.version).mean())
        self.version += 1
        now = time.monotonic()
        self.seconds += now - started
        return {
            "update": self.version,
            "episodes": self.episodes,
            "seconds": self.seconds,
            **record,
            "rollout_s": sampled - started,
            "update_s": now - sampled,
            **self.ledger.close(),
        }

    def _learn(self, played: Trajectories) -> UpdateReport:
        if isinstance(self.updater, PpoUpdater):
            improved: UpdateReport = self.learning.call("improve", played, self.version, self.rng)
            return improved
        advantages = group_advantages(played.success, self.config.sampling.group_size, self.config.advantage)
        updated: UpdateReport = self.learning.call("update", played, advantages, self.version, self.rng)
        return updated

    def _describe(self, sample: Sample) -> dict[str, Any]:
        plain: dict[str, Any] = {}
        for name in (f.name for f in dataclasses.fields(sample)):
            value = getattr(sample, name)
            if isinstance(value, (int, float)):
                plain[name] = _finite(value)
        return plain | self.lessons.finish()

    def check(self) -> SuccessRate:
        """Greedy validation of the average of the weights; remembers it if it is the best so far."""
        started, episodes = time.monotonic(), self.config.validation_episodes
        self.learning.call("exchange")
        result = validate(self.run.pool, self.policy, self.version, episodes, tasks=self.tasks)
        self.stale = 0 if result.rate > self.best[0] else self.stale + 1
        if result.rate >= self.best[0]:
            self.best = (result.rate, self.version)
            self.best_result = result
            self.best_arrays = self.learning.call("weights", "best.")
        self.learning.call("exchange")
        self.seconds += time.monotonic() - started
        return result


def _finite(value: float | None) -> float | None:
    """As it is, or None if it is NaN or infinite, which JSON does not know."""
    return value if value is not None and np.isfinite(value) else None
