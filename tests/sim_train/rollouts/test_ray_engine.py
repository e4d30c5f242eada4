"""A real Ray cluster of two nodes on this machine: the same episodes, whatever happens to workers and nodes."""

import functools
import os
import signal
import sys
import time

import numpy as np
import psutil
import pytest

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # elsewhere, too: all nodes stay on the loopback
ray = pytest.importorskip("ray")
from ray.cluster_utils import Cluster  # noqa: E402 - only where there is Ray
from toy_env import AlwaysDyingEnv, HangingOnceEnv, SlowEnv, ToyEnv  # noqa: E402

from sim_train.rollouts.calls import WorkerFailureError  # noqa: E402
from sim_train.rollouts.config import RayConfig, RoleConfig, RolloutConfig  # noqa: E402
from sim_train.rollouts.engine import make_engine  # noqa: E402
from sim_train.rollouts.episodes import Job, play_episodes  # noqa: E402
from sim_train.rollouts.players import ExpertPlayer, PolicyPlayer  # noqa: E402
from sim_train.rollouts.ray_cluster import Room, workers_that_fit  # noqa: E402
from sim_train.rollouts.worker import ExpertTask, PolicyTask  # noqa: E402

JOBS = [Job(i, i, 4) for i in range(6)]
MANY = [Job(i, i, 30) for i in range(4)]
EXPERT = ExpertTask((0.1, 0.1, 0.1, 0.0))
NODE = {"num_cpus": 1, "object_store_memory": 80 * 2**20, "node_ip_address": "127.0.0.1"}


def same(one, other):
    return all(np.array_equal(array, other.arrays()[name]) for name, array in one.arrays().items())


@pytest.fixture(scope="module")
def cluster():
    """Two nodes with a core each on the loopback; all their processes are gone afterwards."""
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))  # for the toy
        yield from _running(before)


def _running(before):
    nodes = Cluster(initialize_head=True, head_node_args={**NODE, "include_dashboard": False})
    nodes.add_node(**NODE, resources={"second": 1})
    ray.init(address=nodes.address, log_to_driver=False)
    nodes.wait_for_nodes(30)
    yield nodes
    ray.shutdown()
    nodes.shutdown()
    until = time.monotonic() + 10
    while left := {c.pid for c in psutil.Process().children(recursive=True) if "ray" in c.name()} - before:
        assert time.monotonic() < until, left
        time.sleep(0.2)


def settings(workers=2, **more):
    ray_settings = more.pop("ray", RayConfig(placement="apart", start_timeout_s=30))
    return RolloutConfig("ray", workers, 4, ray=ray_settings, **more)


@pytest.fixture(scope="module")
def engine(cluster):
    """One worker on each node."""
    with make_engine(settings(), functools.partial(SlowEnv, chunk_s=0.02)) as workers:
        yield workers


def test_two_nodes_play_what_one_process_plays(engine, tiny_policy):
    with pytest.raises(WorkerFailureError, match="before it received a policy"):
        engine.play(JOBS, PolicyTask(1.0), seed=5)
    for temperature in (1.0, 0.0):
        engine.set_policy(tiny_policy, 3)
        told = []
        played, report = engine.play(JOBS, PolicyTask(temperature), seed=5, on_progress=told.append)
        expected, _ = play_episodes(ToyEnv(4), PolicyPlayer(tiny_policy, temperature), JOBS, 3, seed=5)
        assert same(played, expected)
        assert told == sorted(told)
        assert told[-1] == 24
        assert played.images["front"].dtype == np.uint8
    assert len(set(engine.nodes)) == 2
    assert (report.restarts, report.workers) == (0, 2)
    assert report.spent.environment_s > 0
    assert report.spent.inference_s > 0
    with pytest.raises(ValueError, match="no jobs"):
        engine.play([], EXPERT, seed=0)


def test_a_worker_killed_in_mid_run_is_made_up_for(engine):
    straight, _ = engine.play(MANY, EXPERT, seed=0)
    first = engine.process_ids
    struck_s, told = [], []

    def strike(finished):
        told.append(finished)
        if finished > 30 and not struck_s:
            struck_s.append(time.monotonic())
            os.kill(first[0], signal.SIGKILL)

    struck, report = engine.play(MANY, EXPERT, seed=0, on_progress=strike)
    took_s = time.monotonic() - struck_s[0]
    assert first[0] not in engine.process_ids
    assert report.restarts == 1
    assert told == sorted(told)  # what was finished stayed finished
    assert took_s < 30
    assert same(straight, struck)
    until = time.monotonic() + 60
    while not all(engine.process_ids):  # the new worker comes up beside the old one, which works alone meanwhile
        assert time.monotonic() < until
        assert same(straight, engine.play(MANY, EXPERT, seed=0)[0])


def test_places_are_given_back_and_asked_for(cluster):
    room = Room(RayConfig(start_timeout_s=30), [RoleConfig(cpus=0, resources={"second": 1})])
    with pytest.raises(WorkerFailureError, match=r"no room for .*'second': 1"):
        make_engine(settings(1, ray=RayConfig(start_timeout_s=1, rollout=RoleConfig(0, 0, {"second": 1}))), ToyEnv)
    room.free()
    Room(RayConfig(start_timeout_s=30), [RoleConfig(cpus=0, resources={"second": 1})]).free()
    assert ray.is_initialized()  # the connection is not the engine's
    assert workers_that_fit(RolloutConfig("ray")) == 2
    assert workers_that_fit(RolloutConfig("ray", inference="shared")) == 1


@pytest.mark.slow
def test_a_worker_that_hangs_is_replaced_and_faults_are_played_again(cluster, tmp_path):
    make = functools.partial(HangingOnceEnv, marker=str(tmp_path / "hung"), after=3, fault_every=4)
    with make_engine(settings(1, timeout_s=6.0), make) as engine:
        played, report = engine.play(MANY, EXPERT, seed=0)
        clean, _ = play_episodes(ToyEnv(4), ExpertPlayer(ToyEnv(4), np.array(EXPERT.noise)), MANY, 0)
    assert report.restarts == 1
    assert report.faults > 0
    assert played.group.tolist() == clean.group.tolist()
    assert played.success.tolist() == clean.success.tolist()
    assert report.seconds < 90


@pytest.mark.slow
def test_work_that_always_kills_its_worker_is_refused(cluster):
    with make_engine(settings(1), AlwaysDyingEnv) as doomed, pytest.raises(WorkerFailureError, match="same work"):
        doomed.play(JOBS, EXPERT, seed=0)


@pytest.mark.slow
def test_inference_actors_answer_all_workers_and_are_replaced(cluster, tiny_policy):
    config = settings(1, inference="shared")
    with make_engine(config, functools.partial(SlowEnv, chunk_s=0.03)) as engine:
        engine.set_policy(tiny_policy, 0)
        struck = []

        def strike(finished):
            if finished > 20 and not struck:
                struck.append(engine._inference[0])
                ray.kill(struck[0])

        played, report = engine.play(MANY, PolicyTask(1.0), seed=0, on_progress=strike)
        assert report.restarts == 1
        assert engine._inference[0] is not struck[0]
    assert same(played, play_episodes(ToyEnv(4), PolicyPlayer(tiny_policy, 1.0), MANY, 0)[0])


@pytest.mark.slow
def test_custom_resources_choose_the_node(cluster):
    ray_settings = RayConfig(start_timeout_s=30, rollout=RoleConfig(resources={"second": 1}))
    with make_engine(settings(1, ray=ray_settings), ToyEnv) as engine:
        engine.play(JOBS, EXPERT, seed=0)
        second = next(node["NodeID"] for node in ray.nodes() if node["Resources"].get("second"))
        assert engine.nodes == [second]


@pytest.mark.slow
def test_a_node_killed_in_mid_run_is_made_up_for(cluster):
    extra = cluster.add_node(**NODE, resources={"third": 1})
    with make_engine(settings(3), functools.partial(SlowEnv, chunk_s=0.05)) as engine:
        straight, _ = engine.play(MANY, EXPERT, seed=0)
        assert len(set(engine.nodes)) == 3
        struck = []

        def strike(finished):
            if finished > 30 and not struck:
                struck.append(cluster.remove_node(extra, allow_graceful=False))

        played, report = engine.play(MANY, EXPERT, seed=0, on_progress=strike)
        assert report.restarts >= 1
        assert same(straight, played)
        assert len([node for node in engine.nodes if node]) == 2  # the third has no place now
        assert same(straight, engine.play(MANY, EXPERT, seed=0)[0])
        cluster.add_node(**NODE)
        until = time.monotonic() + 60
        while not all(engine.nodes):
            assert time.monotonic() < until
            assert same(straight, engine.play(MANY, EXPERT, seed=0)[0])
