"""Stage 0: the scripted expert shows how it is done."""

from __future__ import annotations

import dataclasses
import math
from functools import partial

import numpy as np

from sim_train.datasets.demonstrations import load_demonstrations, save_demonstrations
from sim_train.envs.specs import task_spec
from sim_train.reports.progress import Stage
from sim_train.rollouts.episodes import Job
from sim_train.rollouts.trajectories import Trajectories, concatenate
from sim_train.rollouts.worker import ExpertTask
from sim_train.stages.run import InterruptedRunError, Run
from sim_train.stages.seeds import TrainingSeeds

MIN_EXPERT_SUCCESS = 0.3
"""Below this the expert or the noise is broken, and a dataset of its lucky episodes would mislead."""


class DemonstrationError(RuntimeError):
    """The expert does not do the task."""


def demonstrate(run: Run) -> Trajectories:
    """Successful episodes of the expert, recorded or, if they were recorded before, read.

    Raises:
        DemonstrationError: the expert fails too often.
        DatasetError: an existing file does not fit the configuration.
    """
    config = run.config
    path = run.root / "demonstrations.safetensors"
    origin = {"task": config.task, "seed": config.seed, **dataclasses.asdict(config.demonstrations)}
    if path.exists():
        return load_demonstrations(path, origin)
    wanted = config.demonstrations.episodes
    seeds = TrainingSeeds(config.seed)
    noise = tuple(config.demonstrations.noise if f.name != "gripper" else 0.0 for f in task_spec(config.task).action)
    task = ExpertTask(config.model.bins, noise)
    kept: list[Trajectories] = []
    have = tried = 0
    with Stage("demonstrations", wanted, run.console) as stage:
        while have < wanted:
            if run.stop.requested:
                raise InterruptedRunError("demonstrations are recorded anew at the next start")
            # the same number whatever succeeds would waste few episodes; too few would waste a whole round
            count = math.ceil((wanted - have) * 1.2)
            jobs = [Job(tried + i, seed, 1) for i, seed in enumerate(seeds.take(count))]
            played, _ = run.pool.play(
                jobs,
                task,
                seed=config.seed * 1000 + tried,
                on_progress=partial(_advance, stage, have),
            )
            tried += count
            good = played.select(np.flatnonzero(played.success)[: wanted - have])
            have += len(good)
            if len(good):
                kept.append(good)
            if have < MIN_EXPERT_SUCCESS * tried and have < wanted:
                raise DemonstrationError(
                    f"the expert succeeded in {have} of {tried} episodes; lower demonstrations.noise "
                    f"(now {config.demonstrations.noise:g}) or mend the task's expert"
                )
        stage.say(f"{have} successful episodes of {tried}")
    demonstrations = concatenate(kept)
    save_demonstrations(path, demonstrations, origin)
    return demonstrations


def _advance(stage: Stage, before: int, finished: int) -> None:
    stage.advance(before + finished)
