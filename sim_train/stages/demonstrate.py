"""Stage 0: the scripted expert shows how it is done."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
from policy_api.schema import first_difference

from sim_train.datasets.demonstrations import DemonstrationSet
from sim_train.datasets.index import DatasetError, origin_of
from sim_train.datasets.record import record
from sim_train.reports.progress import Stage
from sim_train.rollouts.trajectories import Trajectories, concatenate
from sim_train.stages.run import InterruptedRunError, Run
from sim_train.worlds.tasks import task_names


def demonstrations_of(run: Run, task: str) -> Path:
    """Directory of the run's demonstrations of one of its tasks: with several tasks, each has one of its own."""
    root = run.root / "demonstrations"
    return root / task if len(run.config.worlds.tasks) > 1 else root


def demonstrate(run: Run) -> Trajectories:
    """Successful episodes of the expert of each task, recorded or, as far as they were recorded before, read.

    Where the configuration names a `source`, its episodes instead.

    Raises:
        DemonstrationError: the expert fails too often.
        DatasetError: existing ones do not fit the configuration.
        InterruptedRunError: stopped by the user; whole shards are kept.
    """
    if run.config.demonstrations.source:
        return _of_source(run)
    return concatenate([_of_task(run, number, task) for number, task in enumerate(run.config.worlds.tasks)])


def _of_source(run: Run) -> Trajectories:
    config, tasks = run.config, run.config.worlds.tasks
    parts = []
    for dataset in DemonstrationSet.open_all(Path(config.demonstrations.source)):
        names = task_names(dataset.spec.task)
        if unknown := [name for name in names if name not in tasks]:
            raise DatasetError(f"{dataset.directory} shows the task {unknown[0]!r}, which is not one of the run's")
        spec = dataclasses.replace(config.contract.spec("+".join(names)), model=dataset.spec.model)
        if difference := first_difference(dataset.spec, spec):
            raise DatasetError(
                f"{dataset.directory} has another contract than the run ({difference}, which the run has); change "
                "contract.* to it, or demonstrations.source"
            )
        shown = dataset.load(min(len(dataset), config.demonstrations.episodes))
        parts.append(dataclasses.replace(shown, task=np.full_like(shown.task, tasks.index(names[0]))))
    return concatenate(parts)


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
