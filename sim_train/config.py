"""Everything that a training run can be told, with its defaults. `conf/train.yaml` and the command line change it."""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import dataclass, field
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from sim_train.algorithms.advantages import ADVANTAGES
from sim_train.algorithms.anchor import AnchorConfig
from sim_train.algorithms.ppo import PpoConfig
from sim_train.algorithms.sampling import SamplingConfig
from sim_train.algorithms.updater import UpdateConfig
from sim_train.envs.settings import WorldSettings
from sim_train.policies.imitation import SftLossConfig
from sim_train.policies.token_vla import TokenVlaConfig

Built = TypeVar("Built")
STAGES = ("sft", "rl")
ALGORITHMS = ("grpo", "ppo")


class ConfigError(ValueError):
    """A configuration that cannot be run; the text says what to change."""


@dataclass(frozen=True)
class DemonstrationConfig:
    """Demonstrations of the scripted expert."""

    episodes: int = 100
    """Successful episodes wanted."""
    noise: float = 0.03
    """Standard deviation of the disturbance of dx, dy, dz, as a share of their range."""


@dataclass(frozen=True)
class SftConfig:
    """Imitation."""

    steps: int = 1200
    """Optimiser steps at most."""
    check_every: int = 25
    """Steps between greedy validations."""
    enough: float = 0.35
    """Greedy validation success at which imitation has done its part: RL needs a start, and does the rest better."""
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
    """Episodes of a validation (of SFT, too), from the part of the training range that nothing trains on."""
    stop_at: float = 0.98
    """Greedy validation success at which to stop, reached twice in a row: one good draw proves little."""
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
    """Task to learn."""
    knobs: dict[str, float] = field(default_factory=dict)
    """How hard it is: arguments of the task's constructor."""
    engine: str = "mujoco"
    """Physics engine, one of `sim_train.worlds.engine.ENGINES`."""
    randomization: str = "none"
    """How much worlds differ: a preset of `conf/randomization`, or a YAML file."""
    stages: list[str] = field(default_factory=lambda: list(STAGES))
    """Stages to run, of `STAGES`; a finished one is skipped."""
    budget_min: float = 10.0
    """Wall-clock minutes that RL may take."""
    seed: int = 0
    """Seed of everything random."""
    workers: int = 0
    """Rollout processes and gradient threads; 0: one a core."""
    envs_per_worker: int = 64
    """Worlds in each rollout process."""
    model: TokenVlaConfig = field(default_factory=TokenVlaConfig)
    """Sizes of the network."""
    demonstrations: DemonstrationConfig = field(default_factory=DemonstrationConfig)
    """Demonstrations."""
    sft: SftConfig = field(default_factory=SftConfig)
    """Imitation."""
    rl: RlConfig = field(default_factory=RlConfig)
    """Reinforcement."""

    def validate(self) -> None:
        """Raise ConfigError for values that make no sense together."""
        checks = [
            (bool(self.stages) and set(self.stages) <= set(STAGES), f"stages must be some of {list(STAGES)}"),
            (self.budget_min > 0, "budget_min must be above 0 minutes"),
            (self.seed >= 0, "seed must not be negative"),
            (self.workers >= 0, "workers must not be negative (0: one a core)"),
            (self.envs_per_worker >= 1, "envs_per_worker must be at least 1"),
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
            (self.rl.update.constant_chunks >= 0, "rl.update.constant_chunks must not be negative (0: sequence mean)"),
            (self.rl.update.max_skipped >= 0, "rl.update.max_skipped must not be negative"),
            (0 <= self.rl.ppo.discount <= 1 and 0 <= self.rl.ppo.trace <= 1, "rl.ppo.discount and trace lie in 0..1"),
            (self.rl.ppo.value_clip > 0, "rl.ppo.value_clip must be above 0"),
            (self.rl.ppo.hidden >= 1, "rl.ppo.hidden must be at least 1"),
            (self.rl.anchor.weight >= 0, "rl.anchor.weight must not be negative (0: no anchor)"),
            (self.rl.anchor.batch >= 1, "rl.anchor.batch must be at least 1"),
            (self.rl.update.temperature > 0, "rl.update.temperature must be above 0: RL needs samples"),
            (self.rl.validate_every >= 1, "rl.validate_every must be at least 1"),
            (self.rl.validation_episodes >= 1, "rl.validation_episodes must be at least 1"),
        ]
        for fine, text in checks:
            if not fine:
                raise ConfigError(text)

    @property
    def worlds(self) -> WorldSettings:
        """The worlds to learn in."""
        return WorldSettings(self.task, self.engine, self.randomization, self.knobs)

    @property
    def cores(self) -> int:
        """Rollout processes and gradient threads."""
        return self.workers or len(os.sched_getaffinity(0))

    def fingerprint(self, stage: str) -> dict[str, Any]:
        """What must be equal for a stage's result, or its half-done state, to be used again."""
        whole = json.loads(json.dumps(dataclasses.asdict(self)))  # as it comes back from a file
        parts = ["task", "knobs", "engine", "randomization", "seed", "model", "demonstrations", "sft"]
        if stage == "rl":
            parts += ["rl"]
        return {name: whole[name] for name in parts}


def defaults() -> dict[str, Any]:
    """All settings with their defaults, as plain values; `output_dir` is not among them."""
    plain = dataclasses.asdict(TrainConfig(output_dir=""))
    del plain["output_dir"]
    return plain


def from_plain(plain: dict[str, Any]) -> TrainConfig:
    """The typed configuration of plain values; settings that are not given keep their defaults.

    Raises:
        ConfigError: a setting is unknown, missing or of the wrong type (named with its dotted path), or makes no sense.
    """
    if not plain.get("output_dir"):
        raise ConfigError("output_dir is missing; say where the run's files go, for example output_dir=outputs/run1")
    config = _build(TrainConfig, plain, "")
    config.validate()
    return config


def _build(kind: type[Built], plain: dict[str, Any], path: str) -> Built:
    hints = get_type_hints(kind)
    if unknown := sorted(plain.keys() - hints.keys()):
        raise ConfigError(f"unknown setting {path}{unknown[0]}; known here are {', '.join(hints)}")
    return kind(**{name: _value(hints[name], value, path + name) for name, value in plain.items()})


def _value(kind: Any, value: Any, path: str) -> Any:  # noqa: ANN401 - a type hint and parsed YAML
    if dataclasses.is_dataclass(kind) and isinstance(kind, type) and isinstance(value, dict):
        return _build(kind, value, path + ".")
    origin, inner = get_origin(kind), get_args(kind)
    if origin is dict and isinstance(value, dict):
        return {str(key): _value(inner[1], item, f"{path}.{key}") for key, item in value.items()}
    if origin in (list, tuple) and isinstance(value, (list, tuple)):
        if origin is tuple and len(value) != len(inner):
            raise ConfigError(f"{path} needs {len(inner)} values; got {list(value)}")
        return origin(_value(inner[0], item, f"{path}[{i}]") for i, item in enumerate(value))
    if kind is float and type(value) in (int, float):
        return float(value)
    if kind in (int, bool, str) and type(value) is kind:
        return value
    raise ConfigError(f"{path} must be of type {getattr(kind, '__name__', kind)}; got {value!r}")
