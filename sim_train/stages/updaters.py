"""Which updater a run's configuration asks for."""

from __future__ import annotations

from pathlib import Path

from sim_train.algorithms.anchor import Anchor
from sim_train.algorithms.critic import NoTrunkError
from sim_train.algorithms.parallel import GradientThreads
from sim_train.algorithms.ppo import PpoUpdater
from sim_train.algorithms.updater import Updater
from sim_train.config import ConfigError, TrainConfig
from sim_train.policies.kinds import StoredPolicy


def updater_of(whole: TrainConfig, gradients: GradientThreads, policy: StoredPolicy) -> Updater:
    """The updater that the configuration asks for.

    Raises:
        ConfigError: the policy's kind cannot be trained so.
        DatasetError: there are no demonstrations to anchor the policy at.
    """
    config = whole.rl
    anchor = None
    if config.anchor.weight:
        own = whole.demonstrations.source or Path(whole.output_dir) / "demonstrations"
        shown = Path(config.anchor.demonstrations or own)
        anchor = Anchor.load(shown, policy, config.anchor, whole.sft.loss)
    if config.algorithm == "ppo":
        try:
            return PpoUpdater(policy, config.update, config.ppo, gradients, whole.seed, anchor)
        except NoTrunkError as error:
            raise ConfigError(str(error)) from error
    return Updater(policy, config.update, gradients, anchor)
