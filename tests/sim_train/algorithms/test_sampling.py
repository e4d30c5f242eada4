"""Dynamic sampling: only mixed groups, up to a cap, the surplus carried and marked."""

import dataclasses

import numpy as np
import pytest

from sim_train.algorithms.sampling import SamplingConfig, acceptance, draw, draw_all, mixed_groups
from sim_train.rollouts.trajectories import Trajectories
from sim_train.stages.learner import StartRateError
from sim_train.stages.learner_state import learner_state, restore_learner

SIZE = 4


def made(successes_per_group, version, first_group=0):
    """One chunk a trajectory; the state tells its group, the token its member."""
    success = np.concatenate([[True] * k + [False] * (SIZE - k) for k in successes_per_group])
    n = len(success)
    group = first_group + np.arange(n) // SIZE
    return Trajectories(
        images={"front": np.zeros((n, 2, 2, 3), dtype=np.uint8)},
        state=np.repeat(group[:, None], 7, axis=1).astype(np.float32),
        target_position=np.zeros((n, 3), dtype=np.float32),
        actions=np.zeros((n, 1, 1), dtype=np.float32),
        drawn={"tokens": (np.arange(n) % SIZE)[:, None, None]},
        log_probs=np.zeros((n, 1, 1), dtype=np.float32),
        executed_steps=np.ones(n, dtype=np.int64),
        length=np.ones(n, dtype=np.int64),
        group=group,
        seed=group,
        task=np.zeros(n, dtype=np.int64),
        success=success,
        version=np.full(n, version, dtype=np.int64),
        instructions=("go",) * n,
    )


class Player:
    """Plays groups with prepared numbers of successes and remembers what it was asked."""

    def __init__(self, outcomes, version=5):
        self.outcomes = list(outcomes)
        self.version = version
        self.waves = []

    def __call__(self, count):
        start = sum(self.waves)
        self.waves.append(count)
        return made([self.outcomes[(start + i) % len(self.outcomes)] for i in range(count)], self.version, start)


CONFIG = SamplingConfig(groups=4, group_size=SIZE, oversample=3.0)


def test_uniform_groups_are_left_out_and_counted():
    player = Player([0, 2, 4, 1])
    sample = draw(player, CONFIG, None, version=5, expected_acceptance=0.5)
    _, mixed = mixed_groups(sample.trajectories, SIZE)
    assert mixed.all()
    assert len(sample.trajectories) == 4 * SIZE
    assert (sample.groups, sample.mixed, sample.all_failed, sample.all_succeeded) == (8, 4, 2, 2)
    assert player.waves == [8]


def test_it_plays_on_until_there_are_enough_mixed_groups():
    player = Player([0, 0, 0, 2])
    sample = draw(player, CONFIG, None, version=5, expected_acceptance=1.0)
    assert player.waves[0] == 4
    assert sum(player.waves) <= 12
    assert sample.mixed == 3  # the cap, three times the groups, comes first


def test_the_cap_holds_and_training_goes_on_with_what_there_is():
    sample = draw(Player([4]), CONFIG, None, version=5, expected_acceptance=0.01)
    assert sample.groups == 12
    assert sample.trajectories is None
    assert sample.success == 1.0


def test_surplus_is_carried_with_its_version_and_used_first():
    first = draw(Player([2], version=5), CONFIG, None, version=5, expected_acceptance=0.5)
    assert len(first.surplus) == 4 * SIZE
    second = draw(Player([2], version=6), CONFIG, first.surplus, version=6, expected_acceptance=1.0)
    assert second.carried == 4
    assert second.groups == 0
    assert (second.trajectories.version == 5).all()
    np.testing.assert_array_equal(second.trajectories.state, first.surplus.state)


def test_groups_that_are_too_old_are_dropped():
    old = made([2, 2], version=3)
    sample = draw(Player([2], version=5), CONFIG, old, version=5, expected_acceptance=1.0)
    assert sample.carried == 0
    assert (sample.trajectories.version == 5).all()


def test_torn_groups_are_refused():
    with pytest.raises(ValueError, match="whole groups"):
        mixed_groups(made([2], 0).select([0, 1, 2]), SIZE)
    with pytest.raises(ValueError, match="side by side"):
        mixed_groups(made([2, 2], 0).select([0, 4, 1, 5, 2, 6, 3, 7]), SIZE)


@pytest.mark.parametrize(
    ("rate", "expected"), [(0.012, 0.092), (0.02, 0.149), (0.05, 0.337), (0.1, 0.570), (0.25, 0.9), (0.5, 0.992)]
)
def test_acceptance_of_eight(rate, expected):
    assert acceptance(rate, 8) == pytest.approx(expected, abs=1e-3)
    assert acceptance(1 - rate, 8) == pytest.approx(expected, abs=1e-3)


def test_a_critic_gets_all_groups_and_leaves_none():
    player = Player([0, 2, 4, 1])
    sample = draw_all(player, CONFIG)
    assert player.waves == [4]
    assert sample.trajectories.success.reshape(-1, SIZE).sum(axis=1).tolist() == [0, 2, 4, 1]
    assert sample.surplus is None
    assert (sample.groups, sample.mixed, sample.all_failed, sample.all_succeeded) == (4, 2, 1, 1)
    assert sample.success == 7 / 16


def test_without_dynamic_sampling_one_wave_is_all_there_is():
    player = Player([0, SIZE, 1, 0])
    sample = draw(player, dataclasses.replace(CONFIG, dynamic=False), None, 0, 0.9)
    assert player.waves == [4]
    assert (sample.groups, sample.mixed, sample.surplus) == (4, 1, None)
    assert len(sample.trajectories) == 4 * SIZE


def test_surplus_of_surplus_keeps_its_version_until_it_is_too_old():
    config = SamplingConfig(groups=2, group_size=SIZE)
    carried = made([2] * 5, version=5)
    next_one = draw(Player([2], version=6), config, carried, version=6, expected_acceptance=1.0)
    assert (next_one.carried, next_one.groups) == (5, 0)
    assert next_one.surplus.group.reshape(-1, SIZE)[:, 0].tolist() == [2, 3, 4]
    assert (next_one.surplus.version == 5).all()
    after = draw(Player([2], version=7), config, next_one.surplus, version=7, expected_acceptance=1.0)
    assert after.carried == 0
    assert (after.trajectories.version == 7).all()


def test_groups_of_two_versions_stand_whole_beside_each_other():
    sample = draw(Player([2], version=6), CONFIG, made([1, 3], version=5), version=6, expected_acceptance=1.0)
    versions = sample.trajectories.version.reshape(-1, SIZE)
    assert versions.tolist() == [[5] * SIZE] * 2 + [[6] * SIZE] * 2


@pytest.mark.parametrize("expected", [1e-9, 0.2, 0.5, 1.0])
@pytest.mark.parametrize("oversample", [1.0, 1.5, 3.0])
def test_never_more_than_the_cap_is_played(expected, oversample):
    config = SamplingConfig(groups=4, group_size=SIZE, oversample=oversample)
    player = Player([0, 0, 0, 0, 1])
    sample = draw(player, config, None, version=5, expected_acceptance=expected)
    assert sum(player.waves) == sample.groups <= 4 * oversample
    assert sample.mixed == sample.groups // 5


def test_a_stage_trains_on_the_few_groups_that_there_are(reinforcement):
    learner = reinforcement(margin=0.045, sampling={"groups": 6, "group_size": 4, "oversample": 1.0})
    record = learner.advance()
    assert record["groups"] == 6 and 0 < record["mixed"] < 6
    assert learner.updater.steps > 0 and learner.carried is None


def test_a_stage_carries_its_surplus_through_a_saved_state(reinforcement):
    learner = reinforcement(margin=0.04, sampling={"groups": 3, "group_size": 8})
    learner.acceptance = 0.34  # so that the first wave is far too large
    learner.advance()
    assert len(learner.carried) >= 8 and (learner.carried.version == 0).all()
    back = reinforcement(margin=0.04, sampling={"groups": 3, "group_size": 8})
    restore_learner(back, learner_state(learner))
    assert back.carried.arrays().keys() == learner.carried.arrays().keys()
    assert back.advance()["carried"] == len(learner.carried) // 8


def test_a_stage_does_not_start_below_its_rate_and_says_what_helps(reinforcement):
    learner = reinforcement(margin=1.0)
    with pytest.raises(StartRateError, match=r"0\.0%.*below 3%.*more demonstrations.*easier task"):
        learner.advance()
    assert learner.updater.steps == 0
