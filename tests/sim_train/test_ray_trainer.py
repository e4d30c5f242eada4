"""The trainer as an actor on a node of its own, and the process that speaks for it."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import psutil
import pytest
import toy_training

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # elsewhere, too: all nodes stay on the loopback
pytest.importorskip("ray")
from ray.cluster_utils import Cluster

from sim_train import train
from sim_train.checkpoint import read_manifest
from sim_train.config import ConfigError, TrainConfig, from_plain
from sim_train.envs import contract
from sim_train.ray_trainer import TrainerActor
from sim_train.rollouts.config import RayConfig, RoleConfig, RolloutConfig

NODE = {"num_cpus": 1, "object_store_memory": 80 * 2**20, "node_ip_address": "127.0.0.1"}


def spoken(actor):
    """All that is said, by stream."""
    said = {"stdout": "", "stderr": ""}
    for stream, text in actor.lines():
        said[stream] += text
    return said


def test_an_actor_trains_says_so_and_saves_when_it_is_told_to_stop(tmp_path, monkeypatch):
    monkeypatch.setattr(train, "make_environment", toy_training.make_toy)
    monkeypatch.setattr(contract, "task_spec", lambda *arguments: toy_training.TOY_SPEC)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").mkdir()
    mark = tmp_path / "run" / "mark"
    mark.touch()
    actor, ended = TrainerActor(), []
    config = toy_training.settings(tmp_path / "run")
    training = threading.Thread(target=lambda: ended.append(actor.train(config, str(tmp_path), "mark")))
    training.start()
    until = time.monotonic() + 60
    while not (tmp_path / "run" / "state" / "sft" / "state.json").exists():
        assert time.monotonic() < until and training.is_alive()
        time.sleep(0.01)
    actor.stop(143)
    training.join(60)
    assert ended == [143]
    said = spoken(actor)
    assert said["stdout"].startswith("trainer: on node ")
    assert "start again with the same command" in said["stdout"] and not said["stderr"]
    mark.unlink()
    assert actor.train(config, str(tmp_path), "mark") == 2
    assert f"does not see output_dir={tmp_path / 'run'}" in spoken(actor)["stderr"]


def test_where_a_trainer_can_be_placed(tmp_path):
    some = {"resources": {"trainer": 1}}
    with pytest.raises(ConfigError, match=r"rollout\.ray\.trainer needs rollout\.engine=ray"):
        from_plain({"output_dir": "x", "rollout": {"ray": {"trainer": some}}})
    with pytest.raises(ConfigError, match=r"torchrun"):
        from_plain({"output_dir": "x", "rollout": {"engine": "ray", "ray": {"trainer": some}}, "scale": {"fsdp": True}})
    assert not TrainConfig("x").rollout.ray.places_trainer
    assert TrainConfig("x", rollout=RolloutConfig(ray=RayConfig(trainer=RoleConfig(cpus=3.5)))).cores == 3
    assert RayConfig(trainer=RoleConfig(0.0, 0.0, {"trainer": 1.0})).places_trainer


@pytest.fixture
def address():
    """Of two nodes on the loopback; one simulates, the other trains. All their processes are gone afterwards."""
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    head = {**NODE, "include_dashboard": False, "resources": {"simulation": 1}}
    nodes = Cluster(initialize_head=True, head_node_args=head)
    nodes.add_node(**NODE, resources={"trainer": 1})
    yield nodes.address
    nodes.shutdown()
    until = time.monotonic() + 10
    while left := {c.pid for c in psutil.Process().children(recursive=True) if "ray" in c.name()} - before:
        assert time.monotonic() < until, left
        time.sleep(0.2)


def start(root, address, *more):
    settings = {
        "output_dir": "run",
        "task": "reach_target",
        "rollout.engine": "ray",
        "rollout.workers": 1,
        "rollout.envs_per_worker": 4,
        "rollout.ray.address": address,
        "rollout.ray.rollout.resources.simulation": 1,
        "rollout.ray.trainer.resources.trainer": 1,
        "rollout.ray.trainer.cpus": 1,
        "rollout.ray.start_timeout_s": 30,
        "demonstrations.episodes": 4,
        "sft.steps": 400,
        "sft.batch": 8,
        "sft.check_every": 50,
        "sft.enough": 2,
        "rl.sampling.groups": 2,
        "rl.sampling.group_size": 4,
        "rl.max_updates": 1,
        "rl.min_start": 0,
        "rl.validation_episodes": 4,
    }
    told = [f"{name}={value}" for name, value in settings.items()]
    return subprocess.Popen(
        [sys.executable, "-m", "sim_train.train", *told, *more],
        cwd=root,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def saved(process, root, step):
    """Wait until this step of imitation is saved."""
    state = root / "run" / "state" / "sft" / "state.json"
    while not state.exists() or json.loads(state.read_text())["values"]["step"] < step:
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)


def trainer():
    """Its process, on the other node."""
    children = psutil.Process().children(recursive=True)
    return next(child for child in children if "TrainerActor" in " ".join(child.cmdline()))


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_trainer_on_its_own_node_is_lost_is_stopped_and_ends(tmp_path, address):
    process = start(tmp_path, address)
    saved(process, tmp_path, 1)
    trainer().kill()
    out, errors = process.communicate(timeout=120)
    assert process.returncode == 1, out + errors
    assert "the trainer was lost" in errors and "start again with the same command" in errors

    process = start(tmp_path, address)
    saved(process, tmp_path, json.loads((tmp_path / "run/state/sft/state.json").read_text())["values"]["step"] + 1)
    process.send_signal(signal.SIGTERM)
    out, errors = process.communicate(timeout=120)
    assert process.returncode == 143, out + errors
    assert "start again with the same command" in out

    process = start(tmp_path, address)
    out, errors = process.communicate(timeout=200)
    assert process.returncode == 0, out + errors
    assert "trainer: on node 127.0.0.1" in out and "done in" in out
    assert read_manifest(tmp_path / "run" / "rl")["record"]["updates"] == 1
    assert not list((tmp_path / "run").glob(".started-*"))

    nowhere = start(tmp_path, address, "rollout.ray.trainer.resources.trainer=5", "rollout.ray.start_timeout_s=2")
    out, errors = nowhere.communicate(timeout=60)
    assert nowhere.returncode == 1 and "no room for" in errors
