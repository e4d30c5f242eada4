"""Worker processes: same results whatever happens to them."""

import functools
import os
import signal
import time

import numpy as np
import pytest
import torch
from toy_env import AlwaysDyingEnv, DyingOnceEnv, HangingOnceEnv, ToyEnv

from sim_train.rollouts import pool as pool_module
from sim_train.rollouts.episodes import Job
from sim_train.rollouts.pool import WorkerFailureError, WorkerPool
from sim_train.rollouts.worker import ExpertTask, PolicyTask, split

JOBS = [Job(i, i, 4) for i in range(6)]
EXPERT = ExpertTask(16, (0.1, 0.1, 0.1, 0.0))


def same(one, other):
    return all(np.array_equal(array, other.arrays()[name]) for name, array in one.arrays().items())


@pytest.fixture(scope="module")
def pool():
    with WorkerPool(ToyEnv, workers=2, envs_per_worker=4) as workers:
        yield workers


def test_the_same_call_gives_the_same_trajectories(pool, tiny_policy):
    pool.set_policy(tiny_policy, version=3)
    one, report = pool.play(JOBS, PolicyTask(1.0), seed=5)
    assert same(one, pool.play(JOBS, PolicyTask(1.0), seed=5)[0])
    assert not same(one, pool.play(JOBS, PolicyTask(1.0), seed=6)[0])
    assert one.group.tolist() == [i for i in range(6) for _ in range(4)]
    assert (one.version == 3).all()
    assert report.restarts == 0


def test_workers_play_with_the_weights_they_were_given_last(pool, tiny_policy):
    pool.set_policy(tiny_policy, version=0)
    before, _ = pool.play(JOBS, PolicyTask(0.0), seed=0)
    with torch.no_grad():
        tiny_policy.head.mix.bias += torch.randn(8)
    assert same(before, pool.play(JOBS, PolicyTask(0.0), seed=0)[0])  # a copy, not the trainer's own
    pool.set_policy(tiny_policy, version=1)
    after, _ = pool.play(JOBS, PolicyTask(0.0), seed=0)
    inputs = after.images, after.state, [after.instructions[i] for i in after.trajectory]
    np.testing.assert_array_equal(tiny_policy.act(*inputs).tokens, after.tokens)
    assert not same(before, after)


def test_progress_is_told(pool):
    told = []
    pool.play(JOBS, EXPERT, seed=0, on_progress=told.append)
    assert told == sorted(told)
    assert told[-1] <= 24


def test_a_worker_that_died_between_calls_is_replaced(pool, tiny_policy):
    pool.set_policy(tiny_policy, version=0)
    before, _ = pool.play(JOBS, PolicyTask(1.0), seed=5)
    os.kill(pool.process_ids[0], signal.SIGKILL)
    time.sleep(0.3)
    again, report = pool.play(JOBS, PolicyTask(1.0), seed=5)
    assert report.restarts == 1
    assert same(before, again)


@pytest.mark.parametrize(("env", "timeout_s"), [(DyingOnceEnv, 60.0), (HangingOnceEnv, 3.0)])
def test_a_worker_that_dies_or_hangs_is_started_again(tmp_path, env, timeout_s):
    make = functools.partial(env, marker=str(tmp_path / "died"))
    with WorkerPool(make, 1, 4, timeout_s) as fragile:
        played, report = fragile.play(JOBS, EXPERT, seed=0)
        assert report.restarts == 1
        again, report = fragile.play(JOBS, EXPERT, seed=0)
        assert report.restarts == 0
    assert same(played, again)


def test_work_that_always_kills_its_worker_is_refused(monkeypatch):
    monkeypatch.setattr(pool_module, "MAX_RESTARTS", 0)
    with WorkerPool(AlwaysDyingEnv, 1, 2) as doomed, pytest.raises(WorkerFailureError, match="code 4"):
        doomed.play(JOBS, EXPERT, seed=0)


def test_refusals_come_through_and_workers_end_with_the_pool(tiny_policy):
    with WorkerPool(functools.partial(ToyEnv, fault_every=1), 1, 1) as workers:
        pids = workers.process_ids
        with pytest.raises(WorkerFailureError, match="before it received a policy"):
            workers.play(JOBS, PolicyTask(1.0), seed=0)
        with pytest.raises(WorkerFailureError, match="simulator failed"):
            workers.play(JOBS, EXPERT, seed=0)
        assert workers.process_ids == pids  # a refusal is no crash
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_nothing_to_play(pool):
    with pytest.raises(ValueError, match="no jobs"):
        pool.play([], EXPERT, seed=0)


def test_jobs_are_dealt_evenly():
    assert [len(share) for share in split(JOBS * 2, 5)] == [3, 3, 2, 2, 2]
    assert sorted(job.group for share in split(JOBS, 4) for job in share) == list(range(6))
