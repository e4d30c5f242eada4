"""Episodes a second of one rollout worker and of two, with a policy that sees pictures and samples its actions."""

from __future__ import annotations

import functools
import statistics
from typing import Any

from benchmarks.rl.cells import Cell
from benchmarks.rl.training import sft_run, worlds_of
from benchmarks.rl.workshop import Workshop
from sim_train.checkpoint import load_policy
from sim_train.envs.settings import make_environment
from sim_train.rollouts.episodes import Job
from sim_train.rollouts.pool import WorkerPool
from sim_train.rollouts.worker import PolicyTask


def scaling_cell(shop: Workshop, cell: Cell) -> dict[str, Any]:
    """Medians of rounds in which one worker and two take turns on the same episodes."""
    wanted = cell.settings
    start = sft_run(shop, wanted["seed"], wanted["settings"]) / "sft"
    policy = load_policy(start)
    make = functools.partial(make_environment, worlds_of(start))
    task = PolicyTask(wanted["temperature"])
    episodes, worlds = wanted["episodes"], wanted["envs_per_worker"]
    timed = []
    with WorkerPool(make, 1, worlds) as one, WorkerPool(make, 2, worlds) as two:
        for pool in (one, two):
            pool.set_policy(policy, 0)
            pool.play([Job(i, i, 1) for i in range(2 * worlds)], task, 0)  # warms up
        for turn in range(wanted["rounds"]):
            jobs = [Job(i, turn * episodes + i, 1) for i in range(episodes)]
            timed.append([pool.play(jobs, task, turn)[1].seconds for pool in (one, two)])
            shop.say(f"round {turn + 1}: {timed[-1][0]:.1f} s alone, {timed[-1][1]:.1f} s together")
    return {
        "one_worker": episodes / statistics.median(single for single, _ in timed),
        "two_workers": episodes / statistics.median(double for _, double in timed),
        "scaling": statistics.median(single / double for single, double in timed),
    }
