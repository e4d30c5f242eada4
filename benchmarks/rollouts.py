"""Episodes a second of the scripted expert with one worker process and with two, on each engine, by what is seen."""

import functools
import statistics
from typing import Any

from sim_train.envs import BatchEnv, task_spec
from sim_train.rollouts.environment import Environment
from sim_train.rollouts.episodes import Job
from sim_train.rollouts.pool import WorkerPool
from sim_train.rollouts.worker import ExpertTask

PIXELS = (0, 84, 128, 224)
"""What a policy sees of its camera, px square; 0: no pictures, the state only."""
WORLDS = 32
"""Worlds in a worker."""


def make_worlds(task: str, engine: str, pixels: int, num_envs: int) -> Environment:
    """The worlds of one worker."""
    if not pixels:
        return BatchEnv(task, num_envs, engine=engine, cameras=())
    return BatchEnv(task, num_envs, engine=engine, spec=task_spec(task, image_size=pixels))


def rollouts(task: str, engine: str, pixels: int, episodes: int, rounds: int = 3) -> dict[str, Any]:
    """Episodes a second of one worker and of two, wall time, and the speed-up: medians of rounds that take turns."""
    make = functools.partial(make_worlds, task, engine, pixels)
    expert = ExpertTask((0.0,) * len(task_spec(task).action))
    with WorkerPool(make, 1, WORLDS) as one, WorkerPool(make, 2, WORLDS) as two:
        for pool in (one, two):  # warm up
            pool.play([Job(i, i, 1) for i in range(2 * WORLDS)], expert, 0)
        timed = []
        for round_ in range(rounds):
            jobs = [Job(i, round_ * episodes + i, 1) for i in range(episodes)]
            timed.append([pool.play(jobs, expert, round_)[1].seconds for pool in (one, two)])
    return {
        "one_worker": episodes / statistics.median(single for single, _ in timed),
        "two_workers": episodes / statistics.median(double for _, double in timed),
        "scaling": statistics.median(single / double for single, double in timed),
    }
