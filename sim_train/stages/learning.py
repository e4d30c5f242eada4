"""What an update changes: the policy in the form in which it trains, its optimiser, and a critic if there is one.

With shards every process has one, and `sim_train.scale.team` lets them all do the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim_train.algorithms.parallel import GradientThreads
from sim_train.algorithms.ppo import PpoReport, PpoUpdater
from sim_train.algorithms.updater import UpdateReport
from sim_train.checkpoint import load_policy
from sim_train.config import ConfigError, TrainConfig
from sim_train.policies.kinds import StoredPolicy
from sim_train.resume import optimizer_arrays, policy_arrays, restore_optimizer, restore_policy
from sim_train.rollouts.trajectories import Trajectories
from sim_train.scale.trainee import Trainee
from sim_train.stages.updaters import updater_of


class Learning:
    """Learns from trajectories.

    Args:
        gradients: compute gradients.
        config: of the run.
        start: policy to begin with, or its checkpoint.

    Raises:
        ConfigError, DatasetError: see `updater_of` and `Trainee`.
    """

    def __init__(self, gradients: GradientThreads, config: TrainConfig, start: StoredPolicy | Path) -> None:
        if config.scale.fsdp and config.rl.algorithm == "ppo":
            raise ConfigError("rl.algorithm=ppo cannot be trained in shards (scale.fsdp=true); use grpo")
        policy: StoredPolicy = load_policy(start) if isinstance(start, Path) else start
        self.revision = policy.revision
        self.trainee = Trainee(policy, config.scale)
        self.trainee.policy.train()
        self.updater = updater_of(config, gradients, self.trainee.policy)

    def plain(self) -> StoredPolicy:
        """The policy with its present weights; see `Trainee.plain`."""
        return self.trainee.plain()

    def update(
        self, played: Trajectories, advantages: NDArray[np.float32], version: int, rng: np.random.Generator
    ) -> UpdateReport:
        """See `Updater.update`."""
        return self.updater.update(played, advantages, version, rng)

    def improve(self, played: Trajectories, version: int, rng: np.random.Generator) -> PpoReport:
        """See `PpoUpdater.improve`."""
        assert isinstance(self.updater, PpoUpdater)
        return self.updater.improve(played, version, rng)

    def weights(self, prefix: str) -> dict[str, NDArray[np.generic]]:
        """What training changes of the policy; see `Trainee.arrays`."""
        return self.trainee.arrays(prefix)

    def take(self, arrays: Mapping[str, NDArray[np.generic]], prefix: str) -> None:
        """The inverse of `weights`."""
        self.trainee.restore(arrays, prefix)

    def exchange(self) -> None:
        """Let the policy have the average of its weights; a second call undoes it. See `WeightAverage`."""
        self.updater.average.exchange()

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """All that is needed to go on learning, but for `counters`."""
        arrays = self.weights("policy.") | optimizer_arrays(self.updater.optimizer)
        if self.updater.average.decay:
            self.exchange()
            arrays |= self.weights("average.")
            self.exchange()
        if isinstance(self.updater, PpoUpdater):
            arrays |= policy_arrays(self.updater.critic, "critic.")
        return arrays

    @property
    def counters(self) -> dict[str, Any]:
        """Steps that were taken, and skipped, by the optimiser."""
        return {"optimizer_steps": self.updater.steps, "skipped_in_a_row": self.updater.skipped_in_a_row}

    def restore(self, arrays: dict[str, NDArray[np.generic]], counters: Mapping[str, Any]) -> None:
        """The inverse of `arrays` and `counters`."""
        if self.updater.average.decay:
            self.take(arrays, "average.")
            self.exchange()
        self.take(arrays, "policy.")
        restore_optimizer(self.updater.optimizer, arrays)
        if isinstance(self.updater, PpoUpdater):
            restore_policy(self.updater.critic, arrays, "critic.")
        self.updater.steps = counters["optimizer_steps"]
        self.updater.skipped_in_a_row = counters["skipped_in_a_row"]
