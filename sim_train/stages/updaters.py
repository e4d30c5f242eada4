"""Which updater a run's configuration asks for."""

from __future__ import annotations

from pathlib import Path

from sim_train.algorithms.anchor import Anchor
from sim_train.algorithms.critic import NoTrunkError
from sim_train.algorithms.ppo import PpoUpdater
from sim_train.algorithms.updater import Updater
from sim_train.config import ConfigError
from sim_train.policies.kinds import StoredPolicy
from sim_train.stages.run import Run


def updater_of(run: Run, policy: StoredPolicy) -> Updater:
    """The updater that the configuration asks for.

    Raises:
        ConfigError: the policy's kind cannot be trained so.
        DatasetError: there are no demonstrations to anchor the policy at.
    """
    config = run.config.rl
    anchor = None
    if config.anchor.weight:
        shown = Path(config.anchor.demonstrations or run.root / "demonstrations")
        anchor = Anchor.load(shown, policy, config.anchor, run.config.sft.loss)
    if config.algorithm == "ppo":
        try:
            return PpoUpdater(policy, config.update, config.ppo, run.threads, run.config.seed, anchor)
        except NoTrunkError as error:
            raise ConfigError(str(error)) from error
    return Updater(policy, config.update, run.threads, anchor)
