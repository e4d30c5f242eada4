"""Every kind of policy goes through imitation and reinforcement by the same code."""

import dataclasses
import io

import numpy as np
import pytest
import torch
from rich.console import Console
from tiny_model import TINY
from toy_env import TOY_SPEC, ToyEnv

from sim_train.algorithms.advantages import group_advantages
from sim_train.checkpoint import load_policy, save_policy
from sim_train.config import from_plain
from sim_train.envs import contract
from sim_train.resume import load_state, save_state
from sim_train.rollouts.episodes import Job, play_episodes
from sim_train.rollouts.players import ExpertPlayer, PolicyPlayer
from sim_train.rollouts.pool import PlayReport
from sim_train.stages.imitate import Imitation
from sim_train.stages.learner import Reinforcement
from sim_train.stages.learner_state import learner_state, restore_learner
from sim_train.stages.run import Run

PREFIX = {
    "d_model": 24,
    "layers": 1,
    "heads": 2,
    "mlp": 32,
    "channels": [4, 8, 8],
    "visual_tokens": 1,
    "text_tokens": 4,
}
FLOW = {"prefix": PREFIX, "expert_width": 16, "expert_mlp": 32}
STEMS = {"channels": [4, 8, 8], "text_tokens": 4}
CHOICES = {
    "token_vla": ("token_vla", dataclasses.asdict(TINY)),
    "flow_sde": ("flow_vla", FLOW),
    "flow_noise": ("flow_vla", {**FLOW, "exploration": {"kind": "noise"}}),
    "openvla": ("openvla", {"network": "miniature"}),
    "pi0": ("pi0", {"network": "miniature"}),
    "smolvla": ("smolvla", {"network": "miniature"}),
    "mlp": ("mlp", {**STEMS, "width": 32, "text_width": 8}),
    "act": ("act", {**STEMS, "width": 16, "heads": 2, "mlp": 32, "latent": 4, "visual_tokens": 1}),
}


def kinds(*slow):
    """All of them, some only where tests may take minutes."""
    marked = [pytest.param(name, marks=pytest.mark.slow if name in slow else ()) for name in CHOICES]
    return pytest.mark.parametrize("name", marked)


EVERY = kinds("smolvla")  # what it adds to pi0 is its network, which has tests of its own
ONE_OF_EACH_FAMILY = kinds("flow_noise", "openvla", "pi0", "smolvla", "act")


class Pool:
    """A worker pool without workers."""

    def __init__(self, spec, margin=0.02):
        self.env = ToyEnv(16, margin=margin, max_chunks=1, spec=spec)

    def set_policy(self, policy, version):
        self.policy, self.version = policy, version

    def play(self, jobs, task, seed):
        played, faults = play_episodes(self.env, PolicyPlayer(self.policy, task.temperature), jobs, self.version, seed)
        return played, PlayReport(0.0, faults, 0)


@pytest.fixture
def start(tmp_path, threads, monkeypatch):
    """Makes a run of a named kind, and imitates for some steps."""

    def make(name, steps, algorithm="grpo", **update):
        kind, sizes = CHOICES[name]
        camera = dataclasses.replace(TOY_SPEC.cameras[0], input_size=28)  # a whole number of OpenVLA's patches
        spec = dataclasses.replace(TOY_SPEC, cameras=(camera,)) if kind == "openvla" else TOY_SPEC
        monkeypatch.setattr(contract, "task_spec", lambda *arguments: spec)
        plain = {
            "output_dir": str(tmp_path / "run"),
            "task": "toy",
            "policy": {"kind": kind, "sizes": sizes},
            "sft": {"steps": 60, "batch": 16, "learning_rate": 4e-3},
            "rl": {
                "algorithm": algorithm,
                "sampling": {"groups": 8, "group_size": 8},
                "update": {"learning_rate": 4e-3, "minibatches": 2, "warmup_steps": 0, **update},
                "min_start": 0.0,
                "validation_episodes": 8,
            },
        }
        run = Run(from_plain(plain), Pool(spec), threads, Console(file=io.StringIO()))
        env = ToyEnv(4, spec=spec)
        shown, _ = play_episodes(env, ExpertPlayer(env, np.zeros(4)), [Job(i, i, 1) for i in range(8)], 0)
        imitation = Imitation(threads, run.config, shown)
        reports = [imitation.advance() for _ in range(steps)]
        return run, imitation.plain(), [report.imitation_loss for report in reports]

    return make


def weights(policy):
    return torch.cat([p.detach().flatten().clone() for p in policy.parameters()])


@EVERY
def test_imitation_lowers_its_loss(start, name):
    _, _, losses = start(name, 30)
    assert np.mean(losses[-5:]) < 0.7 * np.mean(losses[:5]), losses


@EVERY
def test_before_a_step_ratios_are_one_and_equal_rewards_change_nothing(start, name):
    run, policy, _ = start(name, 2, weight_decay=0.0)
    learner = Reinforcement(run, policy)
    run.pool.set_policy(policy, 0)
    played = learner._play(4)
    before = weights(policy)
    report = learner.updater.update(played, np.zeros(len(played), np.float32), 0, np.random.default_rng(0))
    assert report.first_ratio_error < 1e-3
    assert report.rollout_gap < 1e-2
    assert torch.equal(weights(policy), before)
    mixed = dataclasses.replace(played, success=np.arange(len(played)) % 3 == 0)
    learner.updater.update(mixed, group_advantages(mixed.success, 8, "grpo"), 0, np.random.default_rng(0))
    assert not torch.equal(weights(policy), before)


@ONE_OF_EACH_FAMILY
def test_grpo_raises_success(start, name):
    steps, rate, updates = (30, 2e-3, 18) if name == "openvla" else (6, 4e-3, 14 if name == "flow_noise" else 10)
    run, policy, _ = start(name, steps, learning_rate=rate)  # OpenVLA has to find out that words matter
    learner = Reinforcement(run, policy)
    rates = [learner.advance()["success"] for _ in range(updates)]
    assert 0.02 < rates[0] < 0.75, rates
    assert max(rates[-3:]) > rates[0] + 0.2, rates


@EVERY
def test_ppo_reads_its_trunk(start, name):
    run, policy, _ = start(name, 2, algorithm="ppo")
    learner = Reinforcement(run, policy)
    record = learner.advance()
    assert record["first_ratio_error"] < 1e-3
    assert record["value_mean"] == 0.0
    assert learner.updater.values(learner._play(2)).std() > 0


@EVERY
def test_a_saved_stage_goes_on_exactly_and_a_checkpoint_holds_what_is_deployed(start, name, tmp_path):
    run, policy, _ = start(name, 2)
    save_policy(tmp_path / "sft", policy, {})
    learner = Reinforcement(run, load_policy(tmp_path / "sft"))
    learner.advance()
    save_state(tmp_path / "state", learner_state(learner))
    record = learner.advance()
    resumed = Reinforcement(run, load_policy(tmp_path / "sft"))
    restore_learner(resumed, load_state(tmp_path / "state"))
    again = resumed.advance()
    for key in ("success", "entropy", "approx_kl", "grad_norm", "first_ratio_error"):
        assert record[key] == again[key], key
    straight, stopped = learner_state(learner).arrays, learner_state(resumed).arrays
    for key, array in straight.items():
        np.testing.assert_array_equal(array, stopped[key], err_msg=key)
    save_policy(tmp_path / "rl", resumed.policy, {})
    back = load_policy(tmp_path / "rl")
    seen = run.pool.env.reset([3, 4], [0, 1])
    ours, theirs = (p.act(seen.images, seen.state, seen.instructions).actions for p in (resumed.policy, back))
    np.testing.assert_allclose(ours, theirs, atol=1e-7)
