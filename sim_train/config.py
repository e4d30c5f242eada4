"""Everything that a training run can be told, with its defaults. `conf/train.yaml` and the command line change it."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sim_train.algorithms.advantages import ADVANTAGES
from sim_train.algorithms.anchor import AnchorConfig
from sim_train.algorithms.ppo import PpoConfig
from sim_train.algorithms.sampling import SamplingConfig
from sim_train.algorithms.task_mix import TASK_WEIGHTS
from sim_train.algorithms.updater import UpdateConfig
from sim_train.curriculum import CurriculumConfig
from sim_train.envs.chunks import parts_of
from sim_train.envs.contract import ContractConfig
from sim_train.envs.settings import WorldSettings
from sim_train.hardware import HardwareConfig
from sim_train.policies.choice import PolicyChoice
from sim_train.policies.imitation import SftLossConfig
from sim_train.reports.wandb_log import ReportConfig
from sim_train.rigs import NOMINAL, load_rig
from sim_train.rollouts.config import RolloutConfig
from sim_train.scale.config import ScaleConfig
from sim_train.typed import ConfigError, build
from sim_train.worlds.tasks import AND, TASKS

__all__ = ["ConfigError", "DemonstrationConfig", "RlConfig", "SftConfig", "TrainConfig", "defaults", "from_plain"]

STAGES = ("sft", "rl")
ALGORITHMS = ("grpo", "ppo")


@dataclass(frozen=True)
class DemonstrationConfig:
    """Demonstrations, of the scripted expert unless said otherwise."""

    source: str = ""
    """Data set to imitate instead, or a folder of several: of a real robot (`python -m sim_train.datasets import`), or
    of `sim_train.demos`. Empty: the expert is recorded."""
    episodes: int = 100
    """Successful episodes wanted, of each task; of a `source` at most so many are used of each data set."""
    noise: float = 0.03
    """Standard deviation of the disturbance of dx, dy, dz, as a share of their range."""


@dataclass(frozen=True)
class SftConfig:
    """Imitation."""

    steps: int = 1200
    """Optimiser steps at most."""
    check_every: int = 25
    """Steps between greedy validations while nothing succeeds; fewer the nearer success is to `enough`."""
    enough: float = 0.35
    """Greedy validation success (of several tasks, that of the worst) at which imitation has done its part: RL needs a
    start, and does the rest better."""
    batch: int = 64
    """Observations a step."""
    learning_rate: float = 1.5e-3
    """Highest learning rate (AdamW, one cycle)."""
    weight_decay: float = 0.01
    """AdamW."""
    loss: SftLossConfig = field(default_factory=SftLossConfig)
    """The loss."""


@dataclass(frozen=True)
class RlConfig:
    """Reinforcement."""

    algorithm: str = "grpo"
    """One of `ALGORITHMS`: compare outcomes within groups, or ask a critic (then `sampling.group_size` may be 1)."""
    advantage: str = "grpo"
    """How groups are compared: one of `sim_train.algorithms.advantages.ADVANTAGES`."""
    ppo: PpoConfig = field(default_factory=PpoConfig)
    """The critic of PPO."""
    anchor: AnchorConfig = field(default_factory=AnchorConfig)
    """Imitation beside reinforcement."""
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    """Groups an update."""
    update: UpdateConfig = field(default_factory=UpdateConfig)
    """The update."""
    validate_every: int = 10
    """Updates between greedy validations."""
    validation_episodes: int = 200
    """Episodes of a validation (of SFT, too), from the part of the training range that nothing trains on. Several tasks
    have the same number each."""
    stop_at: float = 0.98
    """Greedy validation success at which to stop, reached twice in a row: one good draw proves little."""
    patience: int = 0
    """Validations in a row without a better success at which to stop; 0: never."""
    min_start: float = 0.03
    """Sampled success below which RL refuses to start."""
    max_updates: int = 1000
    """Updates at which to stop."""


@dataclass(frozen=True)
class TrainConfig:
    """One run."""

    output_dir: str
    """Where everything goes."""
    task: str = "pick_cube"
    """Task to learn, or several in one policy: "pick_cube+push_cube"."""
    tasks: list[str] = field(default_factory=list)
    """Another way to name several tasks, instead of `task`. They must share a contract."""
    knobs: dict[str, float] = field(default_factory=dict)
    """How hard it is: arguments of the tasks' constructors. Each goes to every task that has it."""
    curriculum: CurriculumConfig = field(default_factory=CurriculumConfig)
    """Knobs that move during reinforcement."""
    engine: str = "mujoco"
    """Physics engine, one of `sim_train.worlds.engine.ENGINES`."""
    randomization: str = "none"
    """How much worlds differ: a preset of `conf/demos/randomization`, or a YAML file."""
    rig: str = NOMINAL
    """The rig that worlds are centred on: a file of `calibration/rigs`."""
    stages: list[str] = field(default_factory=lambda: list(STAGES))
    """Stages to run, of `STAGES`; a finished one is skipped."""
    budget_min: float = 10.0
    """Wall-clock minutes that RL may take."""
    seed: int = 0
    """Seed of everything random."""
    dry_run: bool = False
    """Print settings and what they will cost, and end."""
    rollout: RolloutConfig = field(default_factory=RolloutConfig)
    """Who plays episodes."""
    hardware: HardwareConfig = field(default_factory=HardwareConfig)
    """The machine that the settings are meant for."""
    scale: ScaleConfig = field(default_factory=ScaleConfig)
    """What the trainer does so that a large policy fits and is fast."""
    contract: ContractConfig = field(default_factory=ContractConfig)
    """What the policy sees."""
    policy: PolicyChoice = field(default_factory=PolicyChoice)
    """What kind of policy learns, and how large it is."""
    demonstrations: DemonstrationConfig = field(default_factory=DemonstrationConfig)
    """Demonstrations."""
    sft: SftConfig = field(default_factory=SftConfig)
    """Imitation."""
    rl: RlConfig = field(default_factory=RlConfig)
    """Reinforcement."""
    report: ReportConfig = field(default_factory=ReportConfig)
    """Who else gets the metrics."""

    def validate(self) -> None:
        """Raise ConfigError for values that make no sense together."""
        checks = [
            (bool(self.stages) and set(self.stages) <= set(STAGES), f"stages must be some of {list(STAGES)}"),
            (self.budget_min > 0, "budget_min must be above 0 minutes"),
            (self.seed >= 0, "seed must not be negative"),
            (self.demonstrations.episodes >= 1, "demonstrations.episodes must be at least 1"),
            (self.sft.steps >= 1 and self.sft.batch >= 1, "sft.steps and sft.batch must be at least 1"),
            (self.sft.check_every >= 1, "sft.check_every must be at least 1"),
            (self.rl.algorithm in ALGORITHMS, f"rl.algorithm must be one of {list(ALGORITHMS)}"),
            (self.rl.advantage in ADVANTAGES, f"rl.advantage must be one of {sorted(ADVANTAGES)}"),
            (self.rl.sampling.groups >= 1, "rl.sampling.groups must be at least 1"),
            (
                self.rl.sampling.group_size >= (1 if self.rl.algorithm == "ppo" else 2),
                "rl.sampling.group_size must be at least 2: a group is compared (1 with rl.algorithm=ppo)",
            ),
            (self.rl.sampling.oversample >= 1, "rl.sampling.oversample must be at least 1"),
            (
                0 <= self.rl.sampling.max_staleness <= 1,
                "rl.sampling.max_staleness must be 0 or 1: older groups mislead more than they teach",
            ),
            (
                self.rl.sampling.max_staleness == 1 or not self.rollout.asynchronous,
                "rollout.asynchronous needs rl.sampling.max_staleness=1: what is played ahead is one version old",
            ),
            (self.rl.update.decoupled.max_weight >= 1, "rl.update.decoupled.max_weight must be at least 1"),
            (self.rl.update.constant_chunks >= 0, "rl.update.constant_chunks must not be negative (0: sequence mean)"),
            (self.rl.update.max_skipped >= 0, "rl.update.max_skipped must not be negative"),
            (0.0 <= self.rl.update.ema_decay < 1.0, "rl.update.ema_decay must be in [0, 1)"),
            (0 <= self.rl.ppo.discount <= 1 and 0 <= self.rl.ppo.trace <= 1, "rl.ppo.discount and trace lie in 0..1"),
            (self.rl.ppo.value_clip > 0, "rl.ppo.value_clip must be above 0"),
            (self.rl.ppo.hidden >= 1, "rl.ppo.hidden must be at least 1"),
            (self.rl.anchor.weight >= 0, "rl.anchor.weight must not be negative (0: no anchor)"),
            (self.rl.anchor.batch >= 1, "rl.anchor.batch must be at least 1"),
            (self.rl.update.temperature > 0, "rl.update.temperature must be above 0: RL needs samples"),
            (self.rl.validate_every >= 1, "rl.validate_every must be at least 1"),
            (self.rl.patience >= 0, "rl.patience must not be negative (0: never stop for it)"),
            (
                self.rl.sampling.task_weights in TASK_WEIGHTS,
                f"rl.sampling.task_weights must be one of {list(TASK_WEIGHTS)}",
            ),
            (
                self.engine != "sapien"
                or self.demonstrations.source != ""
                or len(parts_of(self.contract.horizon)) == 1,
                "engine=sapien cannot undo what the scripted expert tries out for chunks of 10 steps and more; give "
                "demonstrations.source, or use engine=mujoco or a shorter contract.horizon",
            ),
            *self.curriculum.checks(),
            (self.rl.validation_episodes >= 1, "rl.validation_episodes must be at least 1"),
            *self.policy.checks(),
            *self.scale.checks(),
            *self.rollout.checks(),
            (
                not (self.rollout.ray.places_trainer and self.scale.fsdp),
                "rollout.ray.trainer places one trainer; with scale.fsdp they are where torchrun starts them",
            ),
            *self.hardware.checks(),
        ]
        for fine, text in checks:
            if not fine:
                raise ConfigError(text)
        self._check_worlds()

    def _check_worlds(self) -> None:
        """See to it that the worlds can be made, where their tasks are among `TASKS`."""
        try:
            if set(self.worlds.tasks) <= TASKS.keys():
                self.worlds.check()
        except ValueError as error:
            raise ConfigError(str(error)) from error

    @property
    def worlds(self) -> WorldSettings:
        """The worlds to learn in."""
        return WorldSettings(
            self.task,
            self.engine,
            self.randomization,
            self.knobs,
            self.curriculum.knobs,
            rig=load_rig(self.rig).values,
            contract=self.contract,
        )

    @property
    def cores(self) -> int:
        """Gradient threads."""
        if self.rollout.ray.trainer.cpus >= 1:
            return int(self.rollout.ray.trainer.cpus)
        return self.rollout.processes if self.rollout.engine == "local" else len(os.sched_getaffinity(0))

    def fingerprint(self, stage: str) -> dict[str, Any]:
        """What must be equal for a stage's result, or its half-done state, to be used again."""
        whole = json.loads(json.dumps(dataclasses.asdict(self)))  # as it comes back from a file
        parts = ["task", "knobs", "curriculum", "engine", "randomization", "rig", "contract", "seed", "policy"]
        parts += ["demonstrations", "sft"]
        if stage == "rl":
            parts += ["rl"]
        return {**{name: whole[name] for name in parts}, "lora": whole["scale"]["lora"]}


def defaults() -> dict[str, Any]:
    """All settings with their defaults, as plain values; `output_dir` is not among them."""
    plain = dataclasses.asdict(TrainConfig(output_dir=""))
    del plain["output_dir"]
    return plain


def from_plain(plain: Mapping[str, Any]) -> TrainConfig:
    """The typed configuration of plain values; settings that are not given keep their defaults.

    Raises:
        ConfigError: a setting is unknown, missing or of the wrong type (named with its dotted path), or makes no sense.
    """
    if not plain.get("output_dir"):
        raise ConfigError("output_dir is missing; say where the run's files go, for example output_dir=outputs/run1")
    config = build(TrainConfig, _with_one_task(plain))
    config.validate()
    return config


def _with_one_task(plain: Mapping[str, Any]) -> Mapping[str, Any]:
    """The same with `tasks` put into `task`."""
    tasks = plain.get("tasks")
    if not isinstance(tasks, (list, tuple)) or not tasks:
        return plain
    named = AND.join(str(task) for task in tasks)
    if plain.get("task", TrainConfig.task) not in (TrainConfig.task, named):
        raise ConfigError(f"give task or tasks, not both; got task={plain['task']} and tasks={list(tasks)}")
    return {**plain, "task": named, "tasks": []}
