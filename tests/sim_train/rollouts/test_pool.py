"""Worker processes: same results whatever happens to them."""

import functools
import os
import signal
import time

import numpy as np
import psutil
import pytest
import torch
from toy_env import AlwaysDyingEnv, DyingOnceEnv, HangingOnceEnv, SlowEnv, SpinningOnceEnv, ToyEnv

from sim_train.rollouts import calls
from sim_train.rollouts.episodes import Job
from sim_train.rollouts.pace import LEAST_S, Pace
from sim_train.rollouts.pool import WorkerFailureError, WorkerPool
from sim_train.rollouts.worker import ExpertTask, PolicyTask, split

JOBS = [Job(i, i, 4) for i in range(6)]
EXPERT = ExpertTask((0.1, 0.1, 0.1, 0.0))


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
    np.testing.assert_array_equal(tiny_policy.act(*inputs).actions, after.actions)
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


def test_a_crash_loses_no_finished_episode_and_changes_nothing(tmp_path, tiny_policy):
    make = functools.partial(DyingOnceEnv, marker=str(tmp_path / "died"), after=4)
    with WorkerPool(make, 1, 4) as fragile:
        fragile.set_policy(tiny_policy, version=0)
        told = []
        played, report = fragile.play(JOBS, PolicyTask(1.0), seed=0, on_progress=told.append)
        assert report.restarts == 1
        assert told == sorted(told)  # what was finished stayed finished
        assert 0 < told.index(24)
        again, report = fragile.play(JOBS, PolicyTask(1.0), seed=0)
        assert report.restarts == 0
    assert same(played, again)
    with WorkerPool(ToyEnv, 3, 2) as others:
        others.set_policy(tiny_policy, version=0)
        assert same(played, others.play(JOBS, PolicyTask(1.0), seed=0)[0])  # nor does it matter who plays what


MANY = [Job(i, i, 50) for i in range(6)]


@pytest.mark.parametrize(("how", "within_s"), [(signal.SIGKILL, 2.5), (signal.SIGSTOP, 5.0)])
def test_a_worker_that_dies_or_hangs_is_back_within_five_seconds(how, within_s):
    with WorkerPool(functools.partial(SlowEnv, chunk_s=0.05), 2, 4) as pool:
        straight, _ = pool.play(MANY, EXPERT, seed=0)
        struck_s: list[float] = []
        back_s: list[float] = []
        first = pool.process_ids

        def strike(finished):
            if finished > 60 and not struck_s:
                os.kill(first[0], how)
                struck_s.append(time.monotonic())
            elif struck_s and not back_s and pool.process_ids[0] != first[0] and pool._workers[0].state == "busy":
                back_s.append(time.monotonic() - struck_s[0])

        struck, report = pool.play(MANY, EXPERT, seed=0, on_progress=strike)
        with pytest.raises(ProcessLookupError):
            os.kill(first[0], 0)
    assert report.restarts == 1
    assert same(straight, struck)
    assert back_s[0] < within_s, back_s


@pytest.mark.parametrize(
    ("env", "after", "timeout_s"),
    [
        (HangingOnceEnv, 0, 60.0),  # it does nothing: seen at once, whatever chunks take
        (SpinningOnceEnv, 0, 1.0),  # it may be slow: before its pace is known it has the whole time-out
        (SpinningOnceEnv, 5, 60.0),
    ],
)
def test_both_ways_to_hang_are_seen(tmp_path, env, after, timeout_s):
    make = functools.partial(env, marker=str(tmp_path / "hung"), after=after)
    with WorkerPool(make, 1, 4, timeout_s) as fragile:
        played, report = fragile.play(JOBS, EXPERT, seed=0)
        again, _ = fragile.play(JOBS, EXPERT, seed=0)
    assert report.restarts == 1
    assert report.seconds < 15.0
    assert same(played, again)


def test_silence_is_measured_against_what_chunks_take():
    pace = Pace(timeout_s=60.0)
    assert pace.allowed_s(0) == 60.0
    for _ in range(3):
        pace.heard("chunk", 0.1)
    assert pace.allowed_s(0) == LEAST_S  # never so little that a busy machine looks like a hang
    pace.heard("chunk", 2.0)
    assert pace.allowed_s(0) == 8.0
    assert pace.allowed_s(1) == 16.0
    pace.heard("reset", 30.0)
    assert pace.allowed_s(0) == 60.0
    for _ in range(32):
        pace.heard("chunk", 0.1)
        pace.heard("reset", 0.1)
    assert pace.allowed_s(0) == LEAST_S


def test_a_pool_that_was_stopped_itself_blames_nobody():
    """As after Ctrl-Z and fg: the time in which nobody listened is no silence."""
    with WorkerPool(functools.partial(SlowEnv, chunk_s=0.05), 1, 4) as pool:
        pool.play(JOBS, EXPERT, seed=0)
        slept = []

        def sleep(finished):
            if not slept:
                slept.append(time.sleep(3.0))  # longer than any silence that is allowed

        assert pool.play(JOBS, EXPERT, seed=0, on_progress=sleep)[1].restarts == 0


@pytest.mark.parametrize("policy", [False, True])
def test_ten_thousand_episodes_take_no_more_memory_than_two_thousand(tiny_policy, policy):
    def play_more(pool, count, seed):
        jobs = [Job(i, seed + i, 1) for i in range(count)]
        pool.play(jobs, PolicyTask(1.0) if policy else EXPERT, seed)
        return [psutil.Process(pid).memory_info().rss / 2**20 for pid in [os.getpid(), *pool.process_ids]]

    with WorkerPool(functools.partial(ToyEnv, max_chunks=1), 1, 50) as pool:
        pool.set_policy(tiny_policy, version=0)
        warm = [play_more(pool, 500, 500 * i) for i in range(4)][-1]
        after = [play_more(pool, 500, 500 * i) for i in range(4, 20)][-1]
    assert np.subtract(after, warm).max() < 4.0, (warm, after)  # MiB: here and in the worker


def test_work_that_always_kills_its_worker_is_refused(monkeypatch):
    monkeypatch.setattr(calls, "MAX_RESTARTS", 0)
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
