"""Record successful episodes of the scripted expert, shard by shard."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable

import numpy as np

from sim_train.datasets.demonstrations import DemonstrationSet
from sim_train.rollouts.engine import RolloutEngine
from sim_train.rollouts.episodes import Job
from sim_train.rollouts.worker import ExpertTask
from sim_train.stages.seeds import TrainingSeeds

MIN_SUCCESS = 0.3
"""Below this the expert or the noise is broken, and a data set of its lucky episodes would mislead."""
_AT_ONCE = 128  # episodes tried for a shard: some seconds of work, which is what a kill loses


class DemonstrationError(RuntimeError):
    """The expert does not do the task."""


def record(
    dataset: DemonstrationSet,
    pool: RolloutEngine,
    wanted: int,
    on_progress: Callable[[int], None] = lambda done: None,
    number: int = 0,
) -> None:
    """Bring the data set to `wanted` episodes. The worlds of `pool` offer what the data set's origin says as their task
    `number`; in the data set, which has one task, it is 0.

    An episode depends on the origin and on its own number only: what is interrupted, shared between other workers or
    asked for in two goes gives the same data set. `on_progress` is called with the episodes recorded or just played; an
    exception from it stops the recording behind the last whole shard.

    Raises:
        DemonstrationError: the expert fails too often.
        WorkerFailureError: see `RolloutEngine.play`.
    """
    origin = dataset.index.origin
    noise = tuple(0.0 if f.name.endswith("gripper") else float(origin["noise"]) for f in dataset.spec.action)
    task, seed = ExpertTask(noise), int(origin["seed"])
    while (have := len(dataset)) < wanted:
        tried = dataset.tried
        # a few more than are missing: most experts fail now and then, and a second round would cost more
        count = min(math.ceil((wanted - have) * 1.2), _AT_ONCE)
        seeds = TrainingSeeds(seed, tried).take(count)
        jobs = [Job(tried + i, world, 1, number) for i, world in enumerate(seeds)]
        played, _ = pool.play(jobs, task, seed, functools.partial(_tell, on_progress, have, wanted))
        good = np.flatnonzero(played.success)[: wanted - have]
        # seeds behind the last episode that is kept are left to whoever wants more
        used = int(good[-1]) + 1 if have + len(good) == wanted else count
        kept = played.select(good)
        dataset.append(dataclasses.replace(kept, task=np.zeros_like(kept.task)), used)
        if len(dataset) < wanted and len(dataset) < MIN_SUCCESS * dataset.tried:
            raise DemonstrationError(
                f"the expert succeeded in {len(dataset)} of {dataset.tried} episodes; lower the noise "
                f"(now {origin['noise']:g}) or mend the task's expert"
            )


def _tell(on_progress: Callable[[int], None], have: int, wanted: int, played: int) -> None:
    on_progress(min(have + played, wanted))
