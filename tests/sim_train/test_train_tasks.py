"""Whole runs with several tasks in one policy: on toy tasks to see every step, and on two real ones."""

import dataclasses
import io
import json
from collections import Counter

import numpy as np
import pytest
import torch
from rich.console import Console
from tiny_model import TINY
from toy_env import TOY_SPEC
from toy_tasks import PHRASES, ToyTasksEnv, make_toys

from sim_train import train as train_module
from sim_train.checkpoint import load_policy, read_manifest
from sim_train.config import from_plain
from sim_train.datasets.demonstrations import DemonstrationSet
from sim_train.envs import contract
from sim_train.evaluate import evaluate, worlds_for
from sim_train.policies.text import build_vocabulary
from sim_train.policies.token_vla import TokenVla
from sim_train.reports.progress import MetricsFile
from sim_train.rollouts.config import RolloutConfig
from sim_train.rollouts.episodes import Job, play_episodes
from sim_train.rollouts.players import ExpertPlayer, PolicyPlayer
from sim_train.stages.imitate import Imitation
from sim_train.stages.learner import Reinforcement
from sim_train.stages.run import InterruptedRunError


def settings(root, rl=None, **changes):
    plain = {
        "output_dir": str(root),
        "tasks": ["toy", "yot"],
        "rollout": {"workers": 1, "envs_per_worker": 8},
        "policy": {"sizes": dataclasses.asdict(TINY)},
        "demonstrations": {"episodes": 4},
        "sft": {"steps": 20, "batch": 9, "enough": 2.0},
        "rl": {
            "sampling": {"groups": 4, "group_size": 4},
            "update": {"learning_rate": 2e-3, "minibatches": 2, "temperature": 2.0},
            "validate_every": 2,
            "validation_episodes": 7,
            "stop_at": 2.0,
            "max_updates": 3,
            "min_start": 0.0,
            **(rl or {}),
        },
    }
    return from_plain({**plain, **changes})


@pytest.fixture
def toys(monkeypatch):
    monkeypatch.setattr(train_module, "make_environment", make_toys)
    monkeypatch.setattr(contract, "task_spec", lambda task, *rest: dataclasses.replace(TOY_SPEC, task=task))


def run(config):
    train_module.train(config, Console(file=io.StringIO()))


def test_episodes_are_played_with_their_task_at_their_level():
    env = ToyTasksEnv(3)
    jobs = [Job(0, 5, 2, task=1), Job(1, 6, 2, level=0.25), Job(2, 7, 1)]
    player = ExpertPlayer(env, np.zeros(4))
    played, _ = play_episodes(env, player, jobs, 0)
    assert Counter(env.told) == Counter([(5, 1, 1.0)] * 2 + [(6, 0, 0.25)] * 2 + [(7, 0, 1.0)])
    assert played.task.tolist() == [1, 1, 0, 0, 0]
    assert played.success.all()  # of the task that was asked for
    assert [played.instructions[i] for i in (0, 2, 4)] == [PHRASES[1][1], PHRASES[0][0], PHRASES[0][1]]


def test_an_episode_depends_on_nothing_but_its_seed_task_and_level():
    torch.manual_seed(0)
    policy = TokenVla(TOY_SPEC, TINY, build_vocabulary([text for phrases in PHRASES for text in phrases]))
    player = PolicyPlayer(policy, 1.0)
    jobs = [Job(i, i, 2, task=i % 2, level=(1.0, 0.5, 0.0)[i % 3]) for i in range(6)]
    together, _ = play_episodes(ToyTasksEnv(8), player, jobs, 0)
    alone, _ = play_episodes(ToyTasksEnv(2), player, jobs[4:5], 0)
    part = together.select(np.flatnonzero(together.group == 4))
    np.testing.assert_array_equal(part.actions, alone.actions)
    np.testing.assert_array_equal(part.success, alone.success)
    assert part.task.tolist() == alone.task.tolist() == [0, 0]


def test_a_run_learns_all_tasks_and_says_how_each_does(tmp_path, toys):
    run(settings(tmp_path))
    for task in ("toy", "yot"):
        shown = DemonstrationSet.open(tmp_path / "demonstrations" / task)
        assert shown.spec.task == task and len(shown) == 4
        assert (shown.load().task == 0).all()  # a data set has one task
    sft = read_manifest(tmp_path / "sft")["record"]
    assert sft["demonstrations"] == 8
    policy = load_policy(tmp_path / "rl")
    assert policy.spec.task == "toy+yot"
    assert {"flee", "go"} <= set(policy.tokenizer.vocabulary)
    record = read_manifest(tmp_path / "rl")["record"]
    greedy = record["validation"]["greedy"]
    assert greedy["episodes"] == 8 and len(record["seeds"]["validation"]) == 4
    assert greedy["success"] == pytest.approx(np.mean([one["success"] for one in greedy["tasks"].values()]))
    assert set(sft["validation"]["sampled"]["tasks"]) == {"toy", "yot"}
    for line in MetricsFile(tmp_path / "metrics" / "rl.jsonl").read():
        assert sum(one["groups"] for one in line["tasks"].values()) == line["groups"]
        assert sum(one["mixed_share"] * one["groups"] for one in line["tasks"].values()) == pytest.approx(line["mixed"])
        assert "levels" not in line
    assert set(line["greedy_tasks"]) == {"toy", "yot"}


def test_imitation_shows_every_task_equally_often(tmp_path, toys):
    env = ToyTasksEnv(4)
    jobs = [Job(i, i, 1, task=int(i > 1)) for i in range(12)]  # two of one task, ten of the other
    shown, _ = play_episodes(env, ExpertPlayer(env, np.zeros(4)), jobs, 0)
    learner = Imitation(None, settings(tmp_path), shown)
    for _ in range(5):
        drawn = shown.task[shown.trajectory[learner._draw().numpy()]]
        assert np.bincount(drawn).tolist() == [4, 5]  # of nine


def test_an_interrupted_run_deals_on_where_it_was(tmp_path, toys, monkeypatch):
    curriculum = {"knobs": {"margin": [0.0, 1.0]}, "advance_above": 0.3, "fall_below": 0.1, "step": 0.5}
    rl = {"sampling": {"groups": 3, "group_size": 4, "task_weights": "learnable"}}
    run(settings(tmp_path / "straight", rl=rl, curriculum=curriculum))
    whole, done = Reinforcement.advance, []

    def advance(self):
        done.append(1)
        self.run.stop.requested = len(done) == 2
        return whole(self)

    with monkeypatch.context() as patch:
        patch.setattr(Reinforcement, "advance", advance)
        with pytest.raises(InterruptedRunError):
            run(settings(tmp_path / "stopped", rl=rl, curriculum=curriculum))
    run(settings(tmp_path / "stopped", rl=rl, curriculum=curriculum))
    lines = [MetricsFile(tmp_path / name / "metrics" / "rl.jsonl").read() for name in ("straight", "stopped")]
    for key in ("tasks", "levels", "success", "entropy", "greedy_tasks"):
        assert [line.get(key) for line in lines[0]] == [line.get(key) for line in lines[1]], key
    levels = [tuple(one["level"] for one in line["levels"].values()) for line in lines[0]]
    assert levels[0] == (0.0, 0.0) and max(levels) > (0.0, 0.0)
    finals = [read_manifest(tmp_path / name / "rl")["record"]["validation"] for name in ("straight", "stopped")]
    assert finals[0] == finals[1]


def test_a_run_that_gets_no_better_stops(tmp_path, toys):
    still = {"update": {"learning_rate": 1e-12, "temperature": 2.0}, "validate_every": 1}
    run(settings(tmp_path, rl=still | {"patience": 2, "max_updates": 9}))
    record = read_manifest(tmp_path / "rl")["record"]
    assert record["stopped_because"] == "2 greedy validations in a row were no better than the best before"
    assert record["updates"] == 3


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_two_real_tasks_are_learnt_by_one_policy(tmp_path):
    """A ball to reach and a bell to ring, both not far from the middle."""
    config = {
        "output_dir": str(tmp_path),
        "tasks": ["reach_target", "click_bell"],
        "knobs": {"spread": 0.3},
        "rollout": {"workers": 2, "envs_per_worker": 32},
        "demonstrations": {"episodes": 40},
        "sft": {"steps": 300, "enough": 0.5},
        "rl": {"sampling": {"groups": 8}, "validation_episodes": 60, "max_updates": 4},
    }
    run(from_plain(config))
    after = read_manifest(tmp_path / "rl")["record"]["validation"]["greedy"]
    assert min(task["success"] for task in after["tasks"].values()) > 0.3, json.dumps(after)
    policy = load_policy(tmp_path / "rl")
    worlds = worlds_for(policy, policy.spec.task, "mujoco", "none", config["knobs"])
    result = evaluate(
        policy,
        worlds,
        range(1_000_000, 1_000_030),
        RolloutConfig(workers=2, envs_per_worker=30),
        Console(file=io.StringIO()),
    )
    assert min(task["success"] for task in result["tasks"].values()) > 0.2, json.dumps(result)
