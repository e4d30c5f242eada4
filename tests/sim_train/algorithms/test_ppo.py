"""PPO: the value loss by hand, that critic and policy learn, and that a saved stage goes on exactly."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from toy_env import TOY_SPEC

from sim_train.algorithms.ppo import PpoConfig, PpoUpdater, value_loss
from sim_train.algorithms.updater import UpdateConfig
from sim_train.datasets.demonstrations import DemonstrationSet
from sim_train.datasets.index import origin_of
from sim_train.resume import load_state, save_state
from sim_train.stages.learner_state import learner_state, restore_learner


@pytest.mark.parametrize(
    ("value", "loss", "slope"),
    [
        (0.6, 0.08, -0.4),  # inside of 0.5 +- 0.2
        (0.8, 0.045, 0.0),  # moved further than allowed towards 1: held at 0.7, no pull
        (1.4, 0.08, 0.4),  # beyond it and worse than held: pulled back
        (0.1, 0.405, -0.9),  # moved away: pulled back
    ],
)
def test_clipped_value_loss(value, loss, slope):
    now = torch.tensor([value], requires_grad=True)
    made = value_loss(now, torch.tensor([0.5]), torch.tensor([1.0]), 0.2)
    made.backward()
    assert made.item() == pytest.approx(loss, abs=1e-6)
    assert now.grad.item() == pytest.approx(slope, abs=1e-6)


def test_before_the_first_step_ratios_are_one_and_values_zero(tiny_policy, threads, play):
    played = play(tiny_policy, max_chunks=3)
    updater = PpoUpdater(tiny_policy, UpdateConfig(), PpoConfig(), threads, seed=0)
    report = updater.improve(played, 0, np.random.default_rng(0))
    assert report.first_ratio_error < 1e-3
    assert report.value_mean == 0.0
    assert updater.values(played).std() > 0


def test_the_critic_learns_who_will_succeed(tiny_policy, threads, play):
    played = play(tiny_policy, groups=4, max_chunks=3)
    played = dataclasses.replace(played, success=played.seed % 2 == 1)  # the instruction tells
    config, ppo = UpdateConfig(learning_rate=5e-3, warmup_steps=0), PpoConfig(value_clip=1.0)
    updater = PpoUpdater(tiny_policy, config, ppo, threads, seed=0)
    rng = np.random.default_rng(0)
    reports = [updater.improve(played, 0, rng) for _ in range(8)]
    assert reports[0].explained_variance == pytest.approx(0.0, abs=1e-5)
    assert reports[-1].explained_variance > 0.8
    assert reports[-1].value_error < 0.3 * reports[0].value_error


def test_every_chunk_gets_its_own_advantage_and_value(tiny_policy, threads, play, monkeypatch):
    played = play(tiny_policy, max_chunks=3)
    assert set(played.length.tolist()) > {1, 3}
    updater = PpoUpdater(tiny_policy, UpdateConfig(minibatches=3, epochs=1), PpoConfig(), threads, seed=0)
    got, loss = np.full(len(played.state), np.nan), updater.policy_loss

    def spy(batch, old, rows):
        got[batch.rows[rows].numpy()] = batch.advantages[rows].numpy()
        np.testing.assert_array_equal(batch.inputs.state[rows].numpy(), played.state[batch.rows[rows].numpy()])
        return loss(batch, old, rows)

    monkeypatch.setattr(updater, "policy_loss", spy)
    updater.improve(played, 0, np.random.default_rng(0))
    left = np.concatenate([np.arange(n)[::-1] for n in played.length])  # chunks that are still to come
    raw = np.where(played.success[played.trajectory], 0.9405**left, 0.0)  # the critic starts at 0
    np.testing.assert_allclose(got, (raw - raw.mean()) / raw.std(), atol=1e-4)


def test_ppo_teaches_the_toy_task(tiny_policy, threads, play):
    updater = PpoUpdater(tiny_policy, UpdateConfig(learning_rate=8e-3, minibatches=2), PpoConfig(), threads, seed=0)
    rng = np.random.default_rng(0)
    rates = []
    for version in range(16):
        played = play(tiny_policy, seed=version + 1, version=version)
        rates.append(float(played.success.mean()))
        updater.improve(played, version, rng)
    assert rates[0] < 0.7
    assert rates[-1] > 0.9


SETTINGS = {
    "algorithm": "ppo",
    "sampling": {"groups": 16, "group_size": 1},
    "update": {"learning_rate": 2e-3, "minibatches": 2},
    "anchor": {"weight": 0.2, "batch": 8},
}


def test_a_saved_stage_goes_on_exactly(reinforcement, shown, tmp_path):
    how = {"task": "toy", "engine": "none", "randomization": "", "noise": 0.0, "seed": 0}
    with DemonstrationSet.recording(tmp_path / "run" / "demonstrations", origin_of(TOY_SPEC, how)) as dataset:
        dataset.append(shown, len(shown))
    learner = reinforcement(**SETTINGS)
    for _ in range(2):
        learner.advance()
    save_state(tmp_path / "state", learner_state(learner))
    records = [learner.advance() for _ in range(2)]

    resumed = reinforcement(**SETTINGS)
    restore_learner(resumed, load_state(tmp_path / "state"))
    again = [resumed.advance() for _ in range(2)]
    for one, other in zip(records, again, strict=True):
        for key in ("update", "episodes", "success", "value_error", "explained_variance", "anchor_loss", "approx_kl"):
            assert one[key] == other[key], key
    straight, stopped = learner_state(learner).arrays, learner_state(resumed).arrays
    assert any(name.startswith("critic.") for name in straight)
    assert straight.keys() == stopped.keys()
    for name, array in straight.items():
        np.testing.assert_array_equal(array, stopped[name], err_msg=name)


def test_episodes_of_uniform_groups_are_used_and_a_record_is_json(reinforcement):
    learner = reinforcement(margin=1.0, min_start=0.0, **{**SETTINGS, "anchor": {}})
    record = learner.advance()
    assert (record["groups"], record["mixed"], record["success"]) == (16, 0, 0.0)
    assert learner.updater.steps == 4
    assert record["explained_variance"] is None  # all returns are equal
    json.dumps(record, allow_nan=False)
