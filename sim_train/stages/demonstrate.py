"""Stage 0: the scripted expert shows how it is done."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from sim_train.datasets.demonstrations import DemonstrationSet
from sim_train.datasets.index import origin_of
from sim_train.datasets.record import record
from sim_train.reports.progress import Stage
from sim_train.rollouts.trajectories import Trajectories, concatenate
from sim_train.stages.run import InterruptedRunError, Run


def demonstrations_of(run: Run, task: str) -> Path:
    """Directory of the run's demonstrations of one of its tasks: with several tasks, each has one of its own."""
    root = run.root / "demonstrations"
    return root / task if len(run.config.worlds.tasks) > 1 else root


def demonstrate(run: Run) -> Trajectories:
    """Successful episodes of the expert of each task, recorded or, as far as they were recorded before, read.

    Raises:
        DemonstrationError: the expert fails too often.
        DatasetError: existing ones do not fit the configuration.
        InterruptedRunError: stopped by the user; whole shards are kept.
    """
    return concatenate([_of_task(run, number, task) for number, task in enumerate(run.config.worlds.tasks)])


def _of_task(run: Run, number: int, task: str) -> Trajectories:
    config, worlds = run.config, run.config.worlds
    wanted = config.demonstrations.episodes
    how = {
        "task": task,
        "engine": worlds.engine,
        "randomization": repr(worlds.drawn),
        "knobs": worlds.knobs_at(1.0),
        "noise": config.demonstrations.noise,
        "seed": config.seed,
    }
    origin = origin_of(config.contract.spec(task), how)
    with DemonstrationSet.recording(demonstrations_of(run, task), origin) as dataset:
        if len(dataset) < wanted:
            with Stage("demonstrations", wanted, run.console) as stage:

                def advance(done: int) -> None:
                    if run.stop.requested:
                        raise InterruptedRunError(f"{len(dataset)} of {wanted} demonstrations of {task} are recorded")
                    stage.advance(done)

                record(dataset, run.pool, wanted, advance, number)
                stage.say(f"{len(dataset)} successful episodes of {task}, {dataset.tried} played")
        shown = dataset.load(wanted)
    return dataclasses.replace(shown, task=np.full_like(shown.task, number))
