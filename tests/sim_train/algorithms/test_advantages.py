"""Advantages against worked examples."""

import numpy as np
import pytest

from sim_train.algorithms.advantages import ADVANTAGES, centred_advantages, grpo_advantages, rloo_advantages


@pytest.mark.parametrize(
    ("successes", "winner", "loser"),
    [
        (1, 2.4749, -0.3536),
        (2, 1.6202, -0.5401),
        (3, 1.2076, -0.7246),
        (4, 0.9354, -0.9354),
        (7, 0.3536, -2.4749),
    ],
)
def test_grpo_for_eight_members(successes, winner, loser):
    rewards = np.array([[1.0] * successes + [0.0] * (8 - successes)], dtype=np.float32)
    expected = [winner] * successes + [loser] * (8 - successes)
    np.testing.assert_allclose(grpo_advantages(rewards)[0], expected, atol=1e-4)


@pytest.mark.parametrize("name", sorted(ADVANTAGES))
@pytest.mark.parametrize("reward", [0.0, 1.0])
def test_equal_rewards_teach_exactly_nothing(name, reward):
    assert (ADVANTAGES[name](np.full((3, 8), reward, dtype=np.float32)) == 0).all()


@pytest.mark.parametrize("name", sorted(ADVANTAGES))
def test_groups_do_not_mix(name):
    rewards = np.array([[1, 0, 0, 0], [1, 1, 1, 0]], dtype=np.float32)
    together = ADVANTAGES[name](rewards)
    np.testing.assert_array_equal(together[:1], ADVANTAGES[name](rewards[:1]))
    np.testing.assert_array_equal(together[1:], ADVANTAGES[name](rewards[1:]))


def test_rloo_leaves_itself_out():
    np.testing.assert_allclose(rloo_advantages(np.array([[1.0, 0.0, 0.0]], dtype=np.float32)), [[1.0, -0.5, -0.5]])


def test_centred_keeps_the_scale():
    np.testing.assert_allclose(
        centred_advantages(np.array([[1.0, 0.0, 0.0, 0.0]], dtype=np.float32)), [[0.75, -0.25, -0.25, -0.25]]
    )


@pytest.mark.parametrize("rewards", [np.zeros(8), np.zeros((4, 1)), np.zeros((2, 2, 2))])
def test_rewards_must_be_one_a_trajectory(rewards):
    with pytest.raises(ValueError, match="one reward a trajectory"):
        grpo_advantages(rewards)


def test_a_reward_that_is_not_finite_is_refused():
    with pytest.raises(ValueError, match="NaN"):
        grpo_advantages(np.array([[1.0, np.nan]]))
