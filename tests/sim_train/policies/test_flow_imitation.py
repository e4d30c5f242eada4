"""Imitation for a flow policy: the loss by hand, and that it keeps two right answers apart."""

import pytest
import torch
from flow_toy import MODE_M, SHAPE, demonstrations, make_policy, observation, shares_of_modes, trained_on_two_modes

from sim_train.policies.flow_exploration import normal_of
from sim_train.policies.imitation import SftLossConfig

ROWS = 6
ALONE = SftLossConfig(auxiliary=0.0)


def drawn(policy, rows=ROWS):
    return torch.rand(rows, policy.imitation_draw_size, generator=torch.Generator().manual_seed(0))


def loss_of(policy, actions, draws, weights, config):
    inputs = policy.inputs(*observation(len(actions)))
    return policy.imitation_loss(inputs, actions, weights, torch.full((len(actions), 3), 0.2), config, draws)


def test_two_modes_are_both_found():
    """A regression would answer with their mean, which is neither."""
    forward, backward = shares_of_modes(trained_on_two_modes(steps=16))
    assert forward + backward > 0.85
    assert forward == pytest.approx(3 / 8, abs=0.15)
    mean = demonstrations(1000)[:, 0, 0].mean()
    assert abs(abs(mean) - MODE_M) > 0.01, "the mean would count as a mode, so that nothing was tested"


def test_a_perfect_velocity_costs_nothing_and_a_wrong_one_its_square():
    policy = make_policy()
    draws, actions = drawn(policy), torch.from_numpy(demonstrations(ROWS))
    noise = normal_of(draws[:, 1:]).view(ROWS, *SHAPE)
    right = noise - policy.normalise(actions)
    seen = []

    def answer(prefix, noised, time):
        seen.append((noised, time))
        return right + 0.5, None

    policy.expert.forward = answer
    weights = torch.full((ROWS, *SHAPE), 1 / right.numel())
    loss, report = loss_of(policy, actions, draws, weights, ALONE)
    assert loss.item() == pytest.approx(0.25, rel=1e-5)
    assert report.imitation_loss == pytest.approx(0.25, rel=1e-5)
    noised, time = seen[0]
    # from where it was put, the right velocity leads to the actions at time 0 and to the noise at time 1
    torch.testing.assert_close(noised - right * time[:, None, None], policy.normalise(actions))
    torch.testing.assert_close(noised + right * (1 - time[:, None, None]), noise)


def test_steps_that_were_not_executed_do_not_count():
    policy = make_policy()
    draws, actions = drawn(policy), torch.from_numpy(demonstrations(ROWS))
    draws[:, 0] = 1.0  # all noise: the network does not see the actions
    weights = torch.zeros(ROWS, *SHAPE)
    weights[:, 0] = 1 / (ROWS * SHAPE[1])
    other = actions.clone()
    other[:, 1] += 5.0
    with torch.no_grad():
        first, second = (loss_of(policy, a, draws, weights, ALONE)[0] for a in (actions, other))
    assert float(first) == pytest.approx(float(second), rel=1e-6)


def test_shares_add_up_to_the_mini_batch():
    policy = make_policy()
    draws, actions = drawn(policy), torch.from_numpy(demonstrations(ROWS))
    weights = torch.full((ROWS, *SHAPE), 1 / actions.numel())
    with torch.no_grad():
        whole, report = loss_of(policy, actions, draws, weights, SftLossConfig())
        parts = [
            loss_of(policy, actions[r], draws[r], weights[r], SftLossConfig()) for r in (slice(0, 2), slice(2, ROWS))
        ]
    assert sum(float(part[0]) for part in parts) == pytest.approx(float(whole), rel=1e-5)
    assert sum(part[1].target_error_mm for part in parts) == pytest.approx(report.target_error_mm, rel=1e-5)
    assert report.target_error_mm > 1


def test_times_prefer_noise():
    policy, times = make_policy(), []
    policy.expert.forward = lambda prefix, noised, time: (times.append(time), (torch.zeros_like(noised), None))[1]
    rows = 20_000
    policy.flow_matching(None, torch.zeros(rows, *SHAPE), torch.ones(rows, *SHAPE), drawn(policy, rows))
    assert times[0].min() > 0
    assert times[0].max() <= 1
    assert float(times[0].mean()) == pytest.approx(0.001 + 0.999 * 0.6, abs=0.01)  # Beta(1.5, 1) has the mean 0.6
