"""Whole runs: on the toy task to compare them bit by bit, and once on the real one."""

import dataclasses
import io
import json
import signal
import subprocess
import sys

import numpy as np
import pytest
from rich.console import Console
from tiny_model import TINY
from toy_env import TOY_SPEC, make_toy

from sim_train import train as train_module
from sim_train.checkpoint import load_policy, read_manifest
from sim_train.config import ConfigError, from_plain
from sim_train.envs import contract
from sim_train.stages.imitate import Imitation
from sim_train.stages.learner import Reinforcement, StartRateError
from sim_train.stages.run import InterruptedRunError
from sim_train.stages.seeds import VALIDATION, TrainingSeeds, validation_seeds
from sim_train.worlds.seeds import EVALUATION, LAB, TRAIN


def settings(root, **changes):
    plain = {
        "output_dir": str(root),
        "task": "toy",
        "rollout": {"workers": 1, "envs_per_worker": 8},
        "policy": {"sizes": dataclasses.asdict(TINY)},
        "demonstrations": {"episodes": 6},
        "sft": {"steps": 30, "batch": 8, "enough": 2.0},
        "rl": {
            "sampling": {"groups": 4, "group_size": 4},
            "update": {"learning_rate": 2e-3, "minibatches": 2, "temperature": 2.0},
            "validate_every": 2,
            "validation_episodes": 8,
            "stop_at": 2.0,
            "max_updates": 4,
        },
    }
    return from_plain({**plain, **changes})


@pytest.fixture(autouse=True)
def toy(monkeypatch):
    monkeypatch.setattr(train_module, "make_environment", make_toy)
    monkeypatch.setattr(contract, "task_spec", lambda *arguments: TOY_SPEC)


def run(config):
    train_module.train(config, Console(file=io.StringIO()))


def ctrl_c_after(monkeypatch, learner, steps):
    """The real signal, in the middle of step number `steps`."""
    whole = learner.advance
    done = []

    def advance(self):
        done.append(1)
        if len(done) == steps:
            signal.raise_signal(signal.SIGINT)
        return whole(self)

    monkeypatch.setattr(learner, "advance", advance)


def weights(path):
    return {name: value.numpy() for name, value in load_policy(path).state_dict().items()}


def test_an_interrupted_run_ends_where_an_uninterrupted_one_does(tmp_path, monkeypatch):
    run(settings(tmp_path / "straight"))
    for learner, steps, state in ((Imitation, 12, "sft"), (Reinforcement, 3, "rl")):
        with monkeypatch.context() as patch:
            ctrl_c_after(patch, learner, steps)
            with pytest.raises(InterruptedRunError):
                run(settings(tmp_path / "stopped"))
        assert (tmp_path / "stopped" / "state" / state / "state.json").exists()
    run(settings(tmp_path / "stopped"))

    for stage in ("sft", "rl"):
        straight, stopped = (weights(tmp_path / name / stage) for name in ("straight", "stopped"))
        for name, array in straight.items():
            np.testing.assert_array_equal(array, stopped[name], err_msg=f"{stage} {name}")
        assert not (tmp_path / "stopped" / "state" / stage).exists()
    records = [read_manifest(tmp_path / name / "rl")["record"] for name in ("straight", "stopped")]
    for key in ("success", "episodes", "entropy", "approx_kl", "greedy_success"):
        assert [u.get(key) for u in records[0]["curve"]] == [u.get(key) for u in records[1]["curve"]], key
    assert len(records[0]["curve"]) == records[0]["updates"] == 4

    before = (tmp_path / "stopped" / "rl" / "manifest.json").stat().st_mtime_ns
    run(settings(tmp_path / "stopped"))  # finished stages are skipped
    assert (tmp_path / "stopped" / "rl" / "manifest.json").stat().st_mtime_ns == before
    with pytest.raises(ConfigError, match="other settings"):
        run(settings(tmp_path / "stopped", seed=1))


def test_rl_changes_the_weights_and_says_why_it_stopped(tmp_path):
    run(settings(tmp_path, sft={"steps": 30, "batch": 8, "check_every": 10, "enough": 0.0}))
    sft, rl = weights(tmp_path / "sft"), weights(tmp_path / "rl")
    assert any((sft[name] != rl[name]).any() for name in sft)
    record = read_manifest(tmp_path / "rl")["record"]
    assert record["stopped_because"] == "max_updates is reached"
    low, high = record["validation"]["greedy"]["success_ci95"]
    assert low <= record["validation"]["greedy"]["success"] <= high
    assert record["config"]["seed"] == 0
    imitation = read_manifest(tmp_path / "sft")["record"]
    assert imitation["demonstrations"] == 6
    assert imitation["steps"] == 10  # a start that is good enough ends imitation


def test_rl_does_not_start_from_next_to_nothing(tmp_path):
    plain = dataclasses.asdict(settings(tmp_path))
    plain["rl"]["min_start"] = 1.01
    run(from_plain({**plain, "stages": ["sft"]}))
    with pytest.raises(StartRateError, match=r"demonstrations\.episodes.*curriculum\.knobs.*rl\.anchor\.weight"):
        run(from_plain({**plain, "stages": ["rl"]}))


def test_one_trajectory_is_enough_to_begin_with(tmp_path):
    run(settings(tmp_path, demonstrations={"episodes": 1}))
    imitation = read_manifest(tmp_path / "sft")["record"]
    assert imitation["demonstrations"] == 1 and len(imitation["seeds"]["demonstrations"]) == 1
    assert all(np.isfinite(value).all() for value in weights(tmp_path / "sft").values())
    assert read_manifest(tmp_path / "rl")["record"]["updates"] == 4


def test_rl_needs_sft(tmp_path):
    with pytest.raises(ConfigError, match="add sft"):
        run(settings(tmp_path, stages=["rl"]))


def test_seeds_of_training_validation_evaluation_and_lab_never_meet():
    ranges = [set(r) for r in (TRAIN, EVALUATION, LAB)]
    assert not (ranges[0] & ranges[1] or ranges[0] & ranges[2] or ranges[1] & ranges[2])
    assert set(VALIDATION) <= ranges[0]
    for seed in (0, 3, 25, 26):  # 26 wraps around the end of the range
        taken = TrainingSeeds(seed)
        some = taken.take(50_000)
        assert len(set(some)) == 50_000
        assert not set(some) & set(VALIDATION)
        assert set(some) <= ranges[0]
    assert not set(TrainingSeeds(0).take(1000)) & set(TrainingSeeds(0, used=1000).take(1000))
    assert set(validation_seeds(200)) <= set(VALIDATION)
    with pytest.raises(ValueError, match="validation"):
        validation_seeds(10_001)
    with pytest.raises(ValueError, match="used"):
        TrainingSeeds(0, used=989_999).take(2)


def python(module, *arguments):
    return subprocess.run(
        [sys.executable, "-m", module, *arguments], capture_output=True, text=True, timeout=170, check=False
    )


def test_the_real_task_from_the_command_line(tmp_path):
    done = python(
        "sim_train.train",
        f"output_dir={tmp_path / 'run'}",
        "rollout.workers=1",
        "rollout.envs_per_worker=12",
        "demonstrations.episodes=4",
        "sft.steps=8",
        "sft.batch=8",
        "rl.sampling.groups=2",
        "rl.sampling.group_size=4",
        "rl.max_updates=1",
        "rl.min_start=0.0",
        "rl.validation_episodes=4",
    )
    assert done.returncode == 0, done.stderr
    assert "rl: max_updates is reached" in done.stdout
    result = python(
        "sim_train.evaluate",
        f"checkpoint={tmp_path / 'run' / 'rl'}",
        "episodes=4",
        "workers=1",
        "envs_per_worker=4",
        f"output={tmp_path / 'rl.json'}",
        "video_seeds=[1000001]",
        f"video_dir={tmp_path / 'videos'}",
    )
    assert result.returncode == 0, result.stderr
    report = json.loads((tmp_path / "rl.json").read_text())
    assert report["episodes"] == 4
    assert list(report["seeds"]) == ["1000000", "1000001", "1000002", "1000003"]
    assert report["success"] == sum(report["seeds"].values()) / 4
    assert report["videos"]["1000001"]["success"] == report["seeds"]["1000001"]
    assert (tmp_path / "videos" / "1000001.mp4").stat().st_size > 1000


def test_a_checkpoint_that_is_missing_is_named(tmp_path):
    evaluated = python("sim_train.evaluate", f"checkpoint={tmp_path}/no", "episodes=1", f"output={tmp_path / 'x.json'}")
    assert evaluated.returncode == 1
    assert "no directory" in evaluated.stderr
