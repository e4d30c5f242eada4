"""The anchor at demonstrations."""

import dataclasses

import numpy as np
import pytest
import torch
from toy_env import TOY_SPEC

from sim_train.algorithms.anchor import Anchor, AnchorConfig
from sim_train.algorithms.updater import UpdateConfig, Updater
from sim_train.datasets.demonstrations import DemonstrationSet
from sim_train.datasets.index import DatasetError, origin_of
from sim_train.policies.imitation import SftLossConfig

HOW = {"task": "toy", "engine": "none", "randomization": "", "noise": 0.0, "seed": 0}


def anchor(shown, weight=1.0, batch=16):
    return Anchor(shown, AnchorConfig(weight, batch), SftLossConfig())


def write(directory, shown, spec=TOY_SPEC):
    with DemonstrationSet.recording(directory, origin_of(spec, HOW)) as dataset:
        dataset.append(shown, len(shown))


def gradient(policy, threads, played, advantages, anchored):
    config = UpdateConfig(learning_rate=0.0, epochs=1, minibatches=1, grad_clip=1e9)
    updater = Updater(policy, config, threads, anchored)
    updater.update(played, advantages, 0, np.random.default_rng(0))
    return torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in updater.parameters])


def test_its_gradient_is_added_with_its_weight(tiny_policy, threads, play, shown):
    played = play(tiny_policy)
    learn = np.where(played.success, 1.0, -1.0).astype(np.float32)
    alone = gradient(tiny_policy, threads, played, learn, None)
    light, heavy = (gradient(tiny_policy, threads, played, learn, anchor(shown, w)) - alone for w in (0.2, 0.6))
    assert alone.norm() > 0 and light.norm() > 0
    assert (heavy - 3 * light).norm() < 0.02 * heavy.norm()


def test_alone_it_is_the_gradient_of_imitation(tiny_policy, threads, play, shown):
    played = play(tiny_policy)
    nothing = np.zeros(len(played), dtype=np.float32)
    got = gradient(tiny_policy, threads, played, nothing, anchor(shown, 1.0, batch=4000))  # nearly the whole set
    texts = [shown.instructions[i] for i in shown.trajectory]
    config = SftLossConfig(auxiliary=0.0)
    executed = torch.from_numpy(shown.executed_steps)[:, None] > torch.arange(2)
    weights = executed[:, :, None].expand(-1, -1, 4) / (executed.sum() * 4)
    inputs = tiny_policy.inputs(shown.images, shown.state, texts)
    actions, place = torch.from_numpy(shown.actions), torch.from_numpy(shown.target_position)
    loss, _ = tiny_policy.imitation_loss(inputs, actions, weights, place, config, torch.zeros(len(place), 0))
    parts = torch.autograd.grad(loss, list(tiny_policy.parameters()), allow_unused=True)
    pairs = zip(parts, tiny_policy.parameters(), strict=True)
    expected = torch.cat([(torch.zeros_like(p) if g is None else g).flatten() for g, p in pairs])
    assert torch.nn.functional.cosine_similarity(got, expected, dim=0) > 0.99
    assert float(got.norm() / expected.norm()) == pytest.approx(1.0, abs=0.05)


def test_it_pulls_towards_the_demonstrations(tiny_policy, threads, play, shown):
    played = play(tiny_policy, groups=1)
    updater = Updater(tiny_policy, UpdateConfig(learning_rate=1e-2, warmup_steps=0), threads, anchor(shown))
    nothing, rng = np.zeros(len(played), dtype=np.float32), np.random.default_rng(0)
    reports = [updater.update(played, nothing, 0, rng) for _ in range(4)]
    assert reports[-1].anchor_loss < 0.7 * reports[0].anchor_loss


def test_it_reads_a_data_set(tiny_policy, threads, play, shown, tmp_path):
    write(tmp_path / "shown", shown)
    read = Anchor.load(tmp_path / "shown", tiny_policy, AnchorConfig(1.0, 16), SftLossConfig())
    played = play(tiny_policy)
    nothing = np.zeros(len(played), dtype=np.float32)
    assert torch.equal(
        gradient(tiny_policy, threads, played, nothing, read),
        gradient(tiny_policy, threads, played, nothing, anchor(shown)),
    )


def test_what_it_cannot_imitate_is_refused(tiny_policy, reinforcement, shown, tmp_path):
    with pytest.raises(DatasetError, match="no data set"):
        reinforcement(anchor={"weight": 0.2})
    write(tmp_path / "other", shown, dataclasses.replace(TOY_SPEC, dt_s=0.2))
    with pytest.raises(DatasetError, match=r"contract differs \(dt_s"):
        reinforcement(anchor={"weight": 0.2, "demonstrations": str(tmp_path / "other")})


def test_without_a_weight_there_is_none(reinforcement):
    learner = reinforcement()
    assert learner.updater.anchor is None
    assert learner.advance()["anchor_loss"] is None
