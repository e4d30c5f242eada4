"""Playing ahead: one call at a time, each of one version, never more than one version old."""

import threading
import time

import numpy as np
import pytest
from toy_env import ToyEnv

from sim_train.rollouts.ahead import AheadEngine, StaleError, check_staleness
from sim_train.rollouts.calls import PlayReport
from sim_train.rollouts.config import RolloutConfig
from sim_train.rollouts.engine import make_engine
from sim_train.rollouts.episodes import Job, play_episodes
from sim_train.rollouts.players import PolicyPlayer
from sim_train.rollouts.pool import WorkerPool
from sim_train.rollouts.worker import PolicyTask

JOBS = [Job(i, i, 4) for i in range(4)]
TASK = PolicyTask(1.0)


class EngineInHere:
    """Plays in the calling thread, but not before it may; notices calls that overlap."""

    def __init__(self):
        self.may = threading.Event()
        self.may.set()
        self.inside = threading.Lock()
        self.closed = False

    def set_policy(self, policy, version):
        assert not self.inside.locked()
        self.policy, self.version = policy, version

    def play(self, jobs, task, seed, on_progress=lambda finished: None):
        assert self.inside.acquire(blocking=False)
        if not jobs:
            self.inside.release()
            raise ValueError("no jobs")
        try:
            while not self.may.wait(0.01):
                on_progress(0)
            player = PolicyPlayer(self.policy, task.temperature)
            played, faults = play_episodes(ToyEnv(8), player, jobs, self.version, seed)
            return played, PlayReport(0.0, faults, 0)
        finally:
            self.inside.release()

    def close(self):
        self.closed = True


@pytest.fixture
def ahead(tiny_policy):
    with AheadEngine(EngineInHere()) as engine:
        engine.set_policy(tiny_policy, 0)
        yield engine


def test_what_was_played_ahead_is_what_would_have_been_played(ahead):
    expected, _ = ahead.play(JOBS, TASK, 5)
    ahead.engine.may.clear()
    began = time.monotonic()
    ahead.play_ahead(JOBS, TASK, 5)
    assert time.monotonic() - began < 1.0  # nobody waits
    assert ahead.pending
    ahead.engine.may.set()
    played, _ = ahead.collect()
    assert not ahead.pending
    assert all(np.array_equal(array, played.arrays()[name]) for name, array in expected.arrays().items())


def test_new_weights_and_other_calls_wait_for_it(ahead, tiny_policy):
    ahead.engine.may.clear()
    ahead.play_ahead(JOBS, TASK, 5)
    threading.Timer(0.2, ahead.engine.may.set).start()
    ahead.set_policy(tiny_policy, 1)  # the engine in here would complain
    other, _ = ahead.play(JOBS[:1], TASK, 6)
    assert (other.version == 1).all()
    played, _ = ahead.collect()
    assert (played.version == 0).all()


def test_misuse_is_refused(ahead):
    with pytest.raises(ValueError, match="nothing was played ahead"):
        ahead.collect()
    ahead.play_ahead(JOBS, TASK, 5)
    with pytest.raises(ValueError, match="must be collected"):
        ahead.play_ahead(JOBS, TASK, 5)


def test_an_error_comes_to_who_collects(ahead):
    ahead.play_ahead([], TASK, 5)
    with pytest.raises(ValueError, match="no jobs"):
        ahead.collect()
    assert len(ahead.play(JOBS, TASK, 5)[0]) == 16


def test_closing_gives_up_what_is_being_played(ahead):
    ahead.engine.may.clear()
    ahead.play_ahead(JOBS, TASK, 5)
    began = time.monotonic()
    ahead.close()
    assert time.monotonic() - began < 5.0
    assert ahead.engine.closed


def test_two_versions_are_too_old(ahead):
    played, _ = ahead.play(JOBS, TASK, 5)
    check_staleness(played, 0)
    check_staleness(played, 1)
    with pytest.raises(StaleError, match="version 0 came to weights of version 2"):
        check_staleness(played, 2)


def test_worker_processes_play_ahead(tiny_policy):
    with make_engine(RolloutConfig(workers=1, envs_per_worker=4, asynchronous=True), ToyEnv) as engine:
        assert isinstance(engine, AheadEngine)
        assert isinstance(engine.engine, WorkerPool)
        engine.set_policy(tiny_policy, 0)
        engine.play_ahead(JOBS, TASK, 5)
        engine.set_policy(tiny_policy, 1)
        assert (engine.collect()[0].version == 0).all()
        assert (engine.play(JOBS, TASK, 5)[0].version == 1).all()
        engine.play_ahead([Job(i, i, 500) for i in range(20)], TASK, 5)
        pids = engine.engine.process_ids
    assert not engine.pending or engine._ahead.done()
    assert all(pids)
