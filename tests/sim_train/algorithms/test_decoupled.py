"""Decoupled PPO: trajectories of older weights."""

import dataclasses

import numpy as np
import pytest
import torch

from sim_train.algorithms.decoupled import DecoupledConfig, behaviour_weights
from sim_train.algorithms.updater import UpdateConfig, Updater


def test_weights_are_the_clipped_ratio_of_proximal_to_behaviour_where_it_is_stale():
    behaviour = torch.log(torch.tensor([0.5, 0.1, 0.8, 0.5])).view(4, 1, 1)
    proximal = torch.log(torch.tensor([0.25, 0.9, 0.4, 0.1])).view(4, 1, 1)
    fresh = torch.tensor([False, False, False, True])
    weights = behaviour_weights(proximal, behaviour, fresh, DecoupledConfig(max_weight=3.0))
    torch.testing.assert_close(weights.flatten(), torch.tensor([0.5, 3.0, 0.5, 1.0]))


def test_weights_carry_no_gradient():
    proximal = torch.zeros(2, 1, 1, requires_grad=True)
    weights = behaviour_weights(proximal, torch.zeros(2, 1, 1), torch.tensor([False, True]), DecoupledConfig())
    assert not weights.requires_grad


@pytest.fixture
def stepped(tiny_policy, threads, play, weights):
    """Changes the policy, then learns from what the old one played; returns the report and the change."""

    def step(advantage=1.0, likelihood=0.0, **config):
        played = play(tiny_policy, groups=4, version=0)
        played = dataclasses.replace(played, log_probs=played.log_probs + np.float32(likelihood))
        with torch.no_grad():
            tiny_policy.head.mix.bias += 0.3 * torch.randn(8, generator=torch.Generator().manual_seed(1))
        before = weights(tiny_policy)
        once = UpdateConfig(epochs=1, minibatches=1, warmup_steps=0, weight_decay=0.0, grad_clip=1e9, **config)
        updater = Updater(tiny_policy, once, threads)
        advantages = np.full(len(played), advantage, dtype=np.float32)
        report = updater.update(played, advantages, 1, np.random.default_rng(0))
        return report, weights(tiny_policy) - before

    return step


def test_the_ratio_is_taken_against_the_weights_at_the_start_of_the_update(stepped):
    report, change = stepped()
    assert report.first_ratio_error < 1e-5  # although older weights played
    assert report.behaviour_weight is not None
    assert abs(report.behaviour_weight - 1) > 1e-4
    assert change.abs().max() > 0


def test_what_was_drawn_too_often_counts_less(stepped):
    """Log-probabilities of the rollout raised by log 2: every weight is halved, and the gradient with it."""
    report, _ = stepped(likelihood=0.0)
    halved, _ = stepped(likelihood=float(np.log(2.0)))
    assert halved.grad_norm < 0.7 * report.grad_norm


def test_the_weight_is_cut_off(stepped):
    report, _ = stepped(likelihood=-10.0, decoupled=DecoupledConfig(max_weight=2.0))
    assert report.behaviour_weight == pytest.approx(2.0)


def test_fresh_trajectories_are_not_weighted(tiny_policy, threads, play):
    played = play(tiny_policy, groups=4, version=7)
    wrong = dataclasses.replace(played, log_probs=played.log_probs - 1.0)
    report = Updater(tiny_policy, UpdateConfig(), threads).update(
        wrong, np.ones(len(played), dtype=np.float32), 7, np.random.default_rng(0)
    )
    assert report.behaviour_weight is None
