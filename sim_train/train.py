"""Train a policy: `python -m sim_train.train output_dir=DIR stages=[sft,rl] budget_min=10`.

Demonstrations, then imitation (`DIR/sft`), then reinforcement (`DIR/rl`). A finished stage is skipped, an interrupted
one goes on where it stopped. Ctrl-C saves. All settings: `sim_train/config.py`.
"""

from __future__ import annotations

import functools
import sys
import time

import hydra
from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from sim_train.algorithms.parallel import GradientThreads
from sim_train.algorithms.updater import DivergedError
from sim_train.checkpoint import CheckpointError, read_manifest
from sim_train.config import ConfigError, TrainConfig, defaults, from_plain
from sim_train.datasets.index import DatasetError
from sim_train.datasets.record import DemonstrationError
from sim_train.envs.settings import make_environment
from sim_train.rollouts.pool import WorkerFailureError, WorkerPool
from sim_train.stages.demonstrate import demonstrate
from sim_train.stages.imitate import imitate
from sim_train.stages.learner import StartRateError
from sim_train.stages.reinforce import reinforce
from sim_train.stages.run import InterruptedRunError, Run

INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it."""


def finished(run: Run, stage: str) -> bool:
    """Whether the stage's checkpoint is there and was made with the same settings.

    Raises:
        ConfigError: it is there, but was made with others.
    """
    path = run.checkpoint(stage)
    if not path.exists():
        return False
    made = from_plain(read_manifest(path)["record"]["config"])
    if made.fingerprint(stage) != run.config.fingerprint(stage):
        raise ConfigError(
            f"{path} holds a checkpoint that was trained with other settings; choose another output_dir, or remove it"
        )
    return True


def train(config: TrainConfig, console: Console) -> None:
    """Run the stages of the configuration that are not finished yet.

    Raises:
        ConfigError, CheckpointError, DatasetError, DemonstrationError, DivergedError, StartRateError,
        WorkerFailureError: see there.
        InterruptedRunError: stopped by the user; saved.
    """
    make = functools.partial(make_environment, config.worlds)
    with GradientThreads(config.cores) as threads, WorkerPool(make, config.cores, config.envs_per_worker) as pool:
        run = Run(config, pool, threads, console)
        with run.stop.listening():
            for stage in sorted(config.stages, reverse=True):  # sft before rl
                if finished(run, stage):
                    console.print(f"{stage}: finished before, skipped", highlight=False)
                elif stage == "sft":
                    imitate(run, demonstrate(run))
                else:
                    if not run.checkpoint("sft").exists():
                        raise ConfigError(
                            f"RL starts from {run.checkpoint('sft')}, which is missing; add sft to stages"
                        )
                    reinforce(run)


def run_main(config: TrainConfig) -> int:
    """Train; returns the exit status and prints the reason if it is not 0."""
    console = Console(soft_wrap=True)
    started = time.monotonic()
    try:
        train(config, console)
    except InterruptedRunError as error:
        console.print(f"interrupted: {error}; start again with the same command to go on", highlight=False)
        return INTERRUPTED
    except (
        CheckpointError,
        ConfigError,
        DatasetError,
        DemonstrationError,
        DivergedError,
        StartRateError,
        WorkerFailureError,
    ) as error:
        print(f"sim_train.train: {error}", file=sys.stderr)
        return 1
    console.print(f"done in {(time.monotonic() - started) / 60:.1f} min: {config.output_dir}", highlight=False)
    return 0


ConfigStore.instance().store(name="settings", node=defaults())


@hydra.main(version_base="1.3", config_path="conf", config_name="train")
def main(cfg: DictConfig) -> None:
    """Entry point."""
    plain = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=False)
    if not isinstance(plain, dict):
        raise TypeError("hydra gave no mapping")
    try:
        config = from_plain({str(name): value for name, value in plain.items() if value != "???"})
    except ConfigError as error:
        print(f"sim_train.train: {error}", file=sys.stderr)
        raise SystemExit(2) from error
    raise SystemExit(run_main(config))


if __name__ == "__main__":
    main()
