"""Train a policy: `python -m sim_train.train task=pick_cube algorithm=grpo budget_min=10`.

Demonstrations, then imitation (`DIR/sft`), then reinforcement (`DIR/rl`), DIR being `output_dir`. A finished stage is
skipped, an interrupted one goes on where it stopped. All settings: `sim_train/config.py`; presets, groups and what can
be resumed: docs/training.md.

Exit status: 0 done; 1 failed; 2 settings that cannot be run; 130 stopped by Ctrl-C and 143 by SIGTERM, saved both
times. A second Ctrl-C or SIGTERM ends at once, with what was saved last.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

import hydra
from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from sim_train.algorithms.updater import DivergedError
from sim_train.checkpoint import CheckpointError, clear_leftovers, read_manifest
from sim_train.command_line import CONF_DIR, prepared
from sim_train.config import ConfigError, TrainConfig, defaults, from_plain
from sim_train.cost import estimate
from sim_train.datasets.index import DatasetError
from sim_train.datasets.record import DemonstrationError
from sim_train.envs.settings import make_environment
from sim_train.hardware import check_hardware
from sim_train.reports.wandb_log import WandbMissingError, opened_log
from sim_train.resume import ResumeError, clear_state
from sim_train.rollouts.calls import WorkerFailureError
from sim_train.rollouts.engine import make_engine
from sim_train.scale.team import team_of
from sim_train.stages.demonstrate import demonstrate
from sim_train.stages.imitate import imitate
from sim_train.stages.learner import StartRateError
from sim_train.stages.reinforce import reinforce
from sim_train.stages.run import InterruptedRunError, Run, StopFlag
from sim_train.typed import did_you_mean
from sim_train.worlds.engine import ENGINES
from sim_train.worlds.tasks import AND

UNUSABLE = 2
"""Exit status for settings that cannot be run."""


def finished(run: Run, stage: str) -> bool:
    """Whether the stage's checkpoint is there and was made with the same settings.

    Raises:
        ConfigError: it is there, but was made with others.
    """
    path = run.checkpoint(stage)
    if not path.exists():
        return False
    record = read_manifest(path)["record"]
    made = {**from_plain(record["config"]).fingerprint(stage), "rig": record["rig"]}
    if made != run.fingerprint(stage):
        raise ConfigError(
            f"{path} holds a checkpoint that was trained with other settings; choose another output_dir, or remove it"
        )
    return True


def train(config: TrainConfig, console: Console, stop: StopFlag | None = None) -> None:
    """Run the stages of the configuration that are not finished yet.

    Raises:
        ConfigError, CheckpointError, DatasetError, DemonstrationError, DivergedError, ResumeError, StartRateError,
        WandbMissingError, WorkerFailureError: see there.
        InterruptedRunError: stopped by the user; saved.
    """
    make = functools.partial(make_environment, config.worlds)
    with team_of(config.scale, config.cores) as team:
        if not team.leads:
            team.follow()
            return
        log = opened_log(config.report, Path(config.output_dir), dataclasses.asdict(config))
        with log as told, make_engine(config.rollout, make) as pool:
            _run_stages(Run(config, pool, team.gradients, console, stop or StopFlag(), team, told))


def _run_stages(run: Run) -> None:
    with run.stop.listening():
        for stage in sorted(run.config.stages, reverse=True):  # sft before rl
            clear_leftovers(run.checkpoint(stage))
            if finished(run, stage):
                clear_state(run.state(stage))  # there is one if the run was killed just then
                run.console.print(f"{stage}: finished before, skipped", highlight=False)
            elif stage == "sft":
                imitate(run, demonstrate(run))
            else:
                if not run.checkpoint("sft").exists():
                    raise ConfigError(f"RL starts from {run.checkpoint('sft')}, which is missing; add sft to stages")
                reinforce(run)


def run_main(
    config: TrainConfig, stop: StopFlag | None = None, out: TextIO | None = None, errors: TextIO | None = None
) -> int:
    """Train in this process; returns the exit status and prints the reason if it is not 0.

    Args:
        config: what to do.
        stop: says when to save and end; None: Ctrl-C and SIGTERM do.
        out: what is told goes there; None: to the terminal.
        errors: why it failed goes there; None: to the terminal.
    """
    quiet = int(os.environ.get("RANK", "0")) > 0  # of several processes one speaks
    console = Console(soft_wrap=True, quiet=quiet, file=out)
    started = time.monotonic()
    stop = stop or StopFlag()
    try:
        train(config, console, stop)
    except InterruptedRunError as error:
        console.print(f"interrupted: {error}; start again with the same command to go on", highlight=False)
        return stop.status
    except KeyboardInterrupt:
        console.print("ended at once; start again with the same command to go on from what was saved last")
        return stop.status
    except (
        CheckpointError,
        ConfigError,
        DatasetError,
        DemonstrationError,
        DivergedError,
        ResumeError,
        StartRateError,
        WandbMissingError,
        WorkerFailureError,
    ) as error:
        print(f"sim_train.train: {error}", file=errors or sys.stderr)
        return 1
    console.print(f"done in {(time.monotonic() - started) / 60:.1f} min: {config.output_dir}", highlight=False)
    return 0


def checked(plain: Mapping[str, Any]) -> TrainConfig:
    """The configuration of plain values, known to be runnable but for hardware.

    Raises:
        ConfigError: see `from_plain`; a task, knob, randomization or rig that does not exist.
    """
    config = from_plain(plain)
    if config.engine not in ENGINES:
        raise ConfigError(
            f"engine={config.engine} is unknown{did_you_mean(config.engine, ENGINES)}; known are {', '.join(ENGINES)}"
        )
    try:
        worlds = config.worlds
        for i in range(len(worlds.tasks)):
            worlds.make_task(i)
        _ = worlds.drawn, worlds.spec
    except ConfigError:
        raise
    except ValueError as error:
        raise ConfigError(str(error)) from error
    return config


ConfigStore.instance().store(name="settings", node=defaults())
OmegaConf.register_new_resolver("all_of", lambda task, tasks: AND.join(tasks) or task, replace=True)


@hydra.main(version_base="1.3", config_path=str(CONF_DIR), config_name="train")
def compose(cfg: DictConfig) -> None:
    """What hydra calls with the composed configuration."""
    plain = OmegaConf.to_container(cfg, resolve=True)
    if not isinstance(plain, dict):
        raise TypeError("hydra gave no mapping")
    try:
        config = checked({str(name): value for name, value in plain.items()})
        if config.dry_run or config.hardware.gpus:
            _tell(config)
        if config.dry_run:
            return
        if config.rollout.ray.places_trainer:
            raise SystemExit(_run_on_node(config))
        check_hardware(config.hardware)
    except ConfigError as error:
        print(f"sim_train.train: {error}", file=sys.stderr)
        raise SystemExit(UNUSABLE) from error
    raise SystemExit(run_main(config))


def _run_on_node(config: TrainConfig) -> int:
    try:
        from sim_train.ray_trainer import train_on_node
    except ModuleNotFoundError as error:
        if error.name != "ray":
            raise
        raise ConfigError(
            "rollout.ray.trainer needs Ray, which is not installed; pip install 'armature[ray]'"
        ) from error
    return train_on_node(config)


def _tell(config: TrainConfig) -> None:
    console = Console(soft_wrap=True)
    if config.dry_run:
        console.print(OmegaConf.to_yaml(dataclasses.asdict(config)), highlight=False, markup=False)
    for line in estimate(config).lines():
        console.print(line, highlight=False, markup=False)


def main() -> None:
    """Entry point."""
    try:
        sys.argv[1:] = prepared(sys.argv[1:], {"output_dir": "", **defaults()})
    except ConfigError as error:
        print(f"sim_train.train: {error}", file=sys.stderr)
        raise SystemExit(UNUSABLE) from error
    compose()


if __name__ == "__main__":
    main()
