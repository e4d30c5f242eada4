"""One update: what must not change, and that what must change does."""

import numpy as np
import pytest
import torch

from sim_train.algorithms.advantages import grpo_advantages
from sim_train.algorithms.parallel import GradientThreads
from sim_train.algorithms.updater import DivergedError, UpdateConfig, Updater


def test_the_ratio_is_one_before_any_step(tiny_policy, threads, play):
    played = play(tiny_policy)
    advantages = grpo_advantages(played.success.reshape(-1, 8).astype(np.float32)).reshape(-1)
    updater = Updater(tiny_policy, UpdateConfig(), threads)
    report = updater.update(played, advantages, version=0, rng=np.random.default_rng(0))
    assert report.first_ratio_error < 1e-3
    assert report.rollout_gap < 1e-2  # the rollout's arithmetic is the trainer's, but for the batch it ran in


def test_equal_rewards_change_no_weight(tiny_policy, threads, play, weights):
    before = weights(tiny_policy)
    updater = Updater(tiny_policy, UpdateConfig(weight_decay=0.0), threads)
    played = play(tiny_policy)
    updater.update(played, np.zeros(len(played), dtype=np.float32), version=0, rng=np.random.default_rng(0))
    assert torch.equal(weights(tiny_policy), before)


def test_stale_trajectories_are_weighted_by_the_probabilities_of_who_played_them(tiny_policy, threads, play):
    played = play(tiny_policy, version=3)
    with torch.no_grad():
        tiny_policy.head.mix.bias += 0.5
    updater = Updater(tiny_policy, UpdateConfig(epochs=1, minibatches=1), threads)
    advantages = grpo_advantages(played.success.reshape(-1, 8).astype(np.float32)).reshape(-1)
    report = updater.update(played, advantages, version=4, rng=np.random.default_rng(0))
    assert report.first_ratio_error < 1e-5
    assert report.behaviour_weight < 0.9
    assert report.rollout_gap == 0.0


def test_weights_and_moments_are_float32(tiny_policy, threads, play):
    updater = Updater(tiny_policy, UpdateConfig(), threads)
    played = play(tiny_policy)
    updater.update(played, np.ones(len(played), dtype=np.float32), version=0, rng=np.random.default_rng(0))
    assert {p.dtype for p in tiny_policy.parameters()} == {torch.float32}
    assert {v.dtype for state in updater.optimizer.state.values() for v in state.values()} == {torch.float32}


def test_the_number_of_threads_does_not_change_the_gradient(tiny_policy, play):
    played = play(tiny_policy)
    gradients = []
    for count in (1, 2):
        with GradientThreads(count) as pool:
            config = UpdateConfig(learning_rate=0.0, epochs=1, minibatches=1)
            updater = Updater(tiny_policy, config, pool)
            updater.update(played, played.success.astype(np.float32), version=0, rng=np.random.default_rng(0))
            gradients.append(torch.cat([p.grad.flatten() for p in updater.parameters if p.grad is not None]))
    assert torch.nn.functional.cosine_similarity(*gradients, dim=0) > 0.999


def test_grpo_teaches_the_toy_task(tiny_policy, threads, play):
    updater = Updater(tiny_policy, UpdateConfig(learning_rate=5e-3, minibatches=2), threads)
    rng = np.random.default_rng(0)
    first = last = 0.0
    for version in range(25):
        played = play(tiny_policy, seed=version + 1, version=version)
        last = float(played.success.mean())
        first = first or last
        advantages = grpo_advantages(played.success.reshape(-1, 8).astype(np.float32)).reshape(-1)
        updater.update(played, advantages, version, rng)
    assert first < 0.7
    assert last > 0.9


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_gradient_that_is_not_finite_costs_one_step(tiny_policy, threads, play, weights, bad):
    played = play(tiny_policy)
    advantages = np.where(played.success, 1.0, -1.0).astype(np.float32)
    advantages[5] = bad
    updater = Updater(tiny_policy, UpdateConfig(epochs=1, minibatches=4), threads)
    before = weights(tiny_policy)
    report = updater.update(played, advantages, version=0, rng=np.random.default_rng(0))
    assert (report.skipped_steps, updater.steps) == (1, 3)
    assert np.isfinite(report.grad_norm)
    after = weights(tiny_policy)
    assert torch.isfinite(after).all() and not torch.equal(before, after)
    assert all(torch.isfinite(v).all() for state in updater.optimizer.state.values() for v in state.values())


def test_too_many_in_a_row_end_the_run_and_a_good_one_between_starts_anew(tiny_policy, threads, play, weights):
    played, rng = play(tiny_policy), np.random.default_rng(0)
    good = np.where(played.success, 1.0, -1.0).astype(np.float32)
    bad = np.full(len(played), np.nan, dtype=np.float32)
    updater = Updater(tiny_policy, UpdateConfig(epochs=1, minibatches=2, max_skipped=3), threads)
    before = weights(tiny_policy)
    report = updater.update(played, bad, 0, rng)
    assert report.skipped_steps == 2 and np.isnan(report.grad_norm)
    assert torch.equal(weights(tiny_policy), before)
    assert updater.update(played, good, 0, rng).skipped_steps == 0
    assert updater.update(played, bad, 0, rng).skipped_steps == 2
    with pytest.raises(DivergedError, match=r"4 optimiser steps in a row \(at most 3.*lower learning rate"):
        updater.update(played, bad, 0, rng)


def test_a_constant_divisor_gives_long_episodes_more_say(tiny_policy, threads, play):
    played = play(tiny_policy, max_chunks=3)
    longest = played.length == played.length.max()
    assert longest.any() and not longest.all()

    def norm_share(**settings):
        norms = []
        for chosen in (longest, ~longest):
            config = UpdateConfig(learning_rate=0.0, epochs=1, minibatches=1, **settings)
            updater = Updater(tiny_policy, config, threads)
            norms.append(updater.update(played, chosen.astype(np.float32), 0, np.random.default_rng(0)).grad_norm)
        return norms[0] / norms[1]

    assert norm_share(constant_chunks=3) > 1.5 * norm_share()
