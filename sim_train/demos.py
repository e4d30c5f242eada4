"""Record demonstrations of the scripted expert: `python -m sim_train.demos task=pick_bottle n=100`.

Writes successful episodes to a directory (`output=`, default `outputs/demos/<task>-<engine>-<randomization>`) in the
format of `sim_train.datasets`. Ctrl-C stops behind the last whole shard; the same command goes on there, and with a
larger `n` it records more. Settings: `DemosConfig`, as in `engine=sapien noise=0.05`, and the randomization's presets
and quantities, as in `randomization=mild randomization.table.height_m=0.01`. Who plays is said as in
`rollout.engine=ray`, see docs/rollouts.md.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from omegaconf import MISSING, DictConfig, OmegaConf
from policy_api.errors import InvalidSpec
from policy_api.schema import PolicySpec
from rich.console import Console

from sim_train.command_line import opened, players, rollout_of
from sim_train.config import ConfigError
from sim_train.datasets.demonstrations import DemonstrationSet
from sim_train.datasets.index import DatasetError, origin_of
from sim_train.datasets.record import DemonstrationError, record
from sim_train.envs import BatchEnv, task_spec
from sim_train.reports.progress import Stage
from sim_train.rollouts.calls import WorkerFailureError
from sim_train.rollouts.engine import make_engine
from sim_train.rollouts.environment import Environment
from sim_train.stages.run import InterruptedRunError, StopFlag
from sim_train.worlds.engine import ENGINES
from sim_train.worlds.randomization import Randomization, drawer, randomization_from_plain

INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it."""


@dataclass
class DemosConfig:
    """What to record."""

    task: str = MISSING
    """Task whose expert plays."""
    n: int = 100
    """Successful episodes wanted."""
    engine: str = "mujoco"
    """One of `sim_train.worlds.engine.ENGINES`."""
    randomization: dict[str, Any] = field(default_factory=dict)
    """What is drawn anew for every episode, as in `sim_train/conf/demos/randomization`; empty: only the layout."""
    cameras: list[str] = field(default_factory=lambda: ["front"])
    """Cameras of the contract."""
    image_size: int = 64
    """Pixels, square, that the network sees of each camera."""
    noise: float = 0.03
    """Standard deviation of the disturbance of dx, dy, dz, as a share of their range."""
    seed: int = 0
    """Decides which training seeds are played, and the disturbance."""
    output: str = ""
    """Directory of the data set."""
    workers: int = 0
    """Processes; 0: one a core."""
    envs_per_worker: int = 32
    """Worlds in each."""
    rollout: dict[str, Any] = field(default_factory=players)
    """Who plays, as in `sim_train/rollouts/config.py`; how many is said above."""

    def validate(self) -> None:
        """Raise ConfigError for values that make no sense."""
        checks = [
            (self.n >= 1, "n must be at least 1"),
            (0 <= self.noise <= 0.5, "noise must lie in 0..0.5"),
            (self.seed >= 0, "seed must not be negative"),
            (self.workers >= 0, "workers must not be negative (0: one a core)"),
            (self.envs_per_worker >= 1, "envs_per_worker must be at least 1"),
            (self.engine in ENGINES, f"engine must be one of {', '.join(ENGINES)}"),
            (bool(self.output), "output must say which directory the data set goes to"),
        ]
        for fine, text in checks:
            if not fine:
                raise ConfigError(text)


def make_worlds(task: str, engine: str, randomization: Randomization, spec: PolicySpec, num_envs: int) -> Environment:
    """The worlds of one worker."""
    return BatchEnv(task, num_envs, engine=engine, draw=drawer(randomization), spec=spec)


def record_demos(config: DemosConfig, console: Console) -> DemonstrationSet:
    """Bring the data set of the configuration to its size.

    Raises:
        ConfigError, ValueError: a setting makes no sense.
        DatasetError, DemonstrationError, WorkerFailureError: see there.
        InterruptedRunError: stopped by the user; whole shards are kept.
    """
    config.validate()
    spec = task_spec(config.task, _names(config.cameras), config.image_size)
    randomization = randomization_from_plain(config.randomization)
    how: dict[str, Any] = {"task": config.task, "engine": config.engine, "randomization": repr(randomization)}
    how |= {"noise": config.noise, "seed": config.seed}
    make = functools.partial(make_worlds, config.task, config.engine, randomization, spec)
    rollout = rollout_of(config.rollout, config.workers, config.envs_per_worker)
    stop = StopFlag()
    with DemonstrationSet.recording(Path(config.output), origin_of(spec, how)) as dataset, stop.listening():
        if len(dataset) < config.n:
            with make_engine(rollout, make) as pool, Stage("demos", config.n, console) as stage:
                stage.advance(len(dataset))

                def advance(done: int) -> None:
                    if stop.requested:
                        raise InterruptedRunError(f"{len(dataset)} of {config.n} episodes are recorded")
                    stage.advance(done)

                record(dataset, pool, config.n, advance)
    return dataset


def _names(cameras: Sequence[str]) -> tuple[str, ...]:
    if not cameras or len(set(cameras)) != len(cameras):
        raise ConfigError(f"cameras must name at least one camera, each once; got {list(cameras)}")
    return tuple(cameras)


ConfigStore.instance().store(name="demos_settings", node=DemosConfig)


@hydra.main(version_base="1.3", config_path="conf/demos", config_name="demos")
def main(cfg: DictConfig) -> None:
    """Entry point."""
    console = Console(soft_wrap=True)
    if OmegaConf.is_missing(cfg, "task"):
        print("sim_train.demos: say which task, for example task=pick_cube", file=sys.stderr)
        raise SystemExit(2)
    config = OmegaConf.to_object(cfg)
    if not isinstance(config, DemosConfig):
        raise TypeError("hydra gave another configuration")
    preset = HydraConfig.get().runtime.choices["randomization"]
    config.output = config.output or f"outputs/demos/{config.task}-{config.engine}-{preset}"
    try:
        dataset = record_demos(config, console)
    except InterruptedRunError as error:
        console.print(f"interrupted: {error}; start again with the same command to go on", highlight=False)
        raise SystemExit(INTERRUPTED) from error
    except (ConfigError, DatasetError, DemonstrationError, InvalidSpec, ValueError, WorkerFailureError) as error:
        print(f"sim_train.demos: {error}", file=sys.stderr)
        raise SystemExit(1) from error
    console.print(
        f"{len(dataset)} successful episodes of {dataset.tried} tried, in {dataset.directory}", highlight=False
    )


if __name__ == "__main__":
    sys.argv[1:] = opened(sys.argv[1:])
    main()
