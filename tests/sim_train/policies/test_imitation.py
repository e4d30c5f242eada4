"""Imitation: smoothed targets, and that a few samples can be learned."""

import numpy as np
import pytest
import torch
from toy_env import ToyEnv

from sim_train.algorithms.grpo import executed_mask
from sim_train.policies.imitation import SftLossConfig, SftReport, merge_sft_reports, smoothed_targets
from sim_train.rollouts.episodes import Job, play_episodes
from sim_train.rollouts.players import ExpertPlayer


def centres(bins):
    return (torch.arange(bins) + 0.5) / bins


def test_targets_are_distributions_that_peak_at_the_action_and_spread_to_neighbours():
    targets = smoothed_targets(torch.tensor([[0.5, 1.0, 0.0, 0.43]]), centres(20), sigma=0.1)
    assert targets.sum(-1).allclose(torch.ones(1, 4))
    assert targets[0, 0, 9] == pytest.approx(float(targets[0, 0, 10]))  # the middle lies between two bins
    assert targets.argmax(-1)[0, 1:].tolist() == [19, 0, 8]
    assert targets[0, 1, 18] > 0.1


def test_targets_beyond_the_range_count_as_its_end():
    inside, outside = (smoothed_targets(torch.tensor([place]), centres(16), 0.1) for place in (1.0, 2.0))
    assert torch.equal(inside, outside)


def test_sigma_must_be_positive():
    with pytest.raises(ValueError, match="sigma"):
        smoothed_targets(torch.tensor([0.5]), centres(16), 0.0)


def test_reports_of_shares_add_up():
    assert merge_sft_reports([SftReport(1.0, 2.0), SftReport(0.5, 1.0)]) == SftReport(1.5, 3.0)
    assert merge_sft_reports([SftReport(1.0, None), SftReport(0.5, None)]) == SftReport(1.5, None)


def test_a_few_samples_are_learned_and_the_target_is_found(tiny_policy):
    env = ToyEnv(4)
    expert = ExpertPlayer(env, np.zeros(4))
    shown, _ = play_episodes(env, expert, [Job(i, i, 1) for i in range(6)], version=0)
    assert shown.success.all()
    texts = [shown.instructions[i] for i in shown.trajectory]
    inputs = tiny_policy.inputs(shown.images, shown.state, texts)
    mask = executed_mask(torch.from_numpy(shown.executed_steps), 2, 4)
    actions, place = torch.from_numpy(shown.actions), torch.from_numpy(shown.target_position)
    optimizer = torch.optim.AdamW(tiny_policy.parameters(), lr=5e-3)
    for _ in range(150):
        loss, report = tiny_policy.imitation_loss(
            inputs, actions, mask / mask.sum(), place, SftLossConfig(), torch.zeros(len(place), 0)
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert report.imitation_loss < 0.1
    assert report.target_error_mm < 20
    said = tiny_policy.act(shown.images, shown.state, texts)
    right = tiny_policy.binning.encode(shown.actions)
    np.testing.assert_array_equal(said.drawn["tokens"][:, 0, 0], right[:, 0, 0])
