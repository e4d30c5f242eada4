"""Trajectories keep what belongs together."""

import numpy as np
import pytest
from toy_env import ToyEnv
from toy_tasks import ToyTasksEnv

from sim_train.rollouts.episodes import Job, play_episodes
from sim_train.rollouts.players import ExpertPlayer, PolicyPlayer
from sim_train.rollouts.trajectories import Trajectories, concatenate


@pytest.fixture
def played():
    env = ToyEnv(3, margin=0.04)  # the expert fails: every trajectory has all three chunks
    return play_episodes(env, ExpertPlayer(env, np.zeros(4)), [Job(i, 10 + i, 1) for i in range(4)], 7)[0]


def test_select_takes_whole_trajectories_in_order(played):
    part = played.select([2, 0])
    assert part.seed.tolist() == [12, 10]
    assert part.images["front"][:, 0, 0, 0].tolist() == [12] * 3 + [10] * 3  # the picture tells its seed
    assert part.state[:, 0].tolist() == [0, 1, 2] * 2  # and the state its chunk
    assert part.trajectory.tolist() == [0, 0, 0, 1, 1, 1]
    assert part.instructions == (played.instructions[2], played.instructions[0])


def test_select_nothing(played):
    assert len(played.select([])) == 0


def test_arrays_and_back(played):
    back = Trajectories.from_arrays(played.arrays())
    assert back.instructions == played.instructions
    for name, array in played.arrays().items():
        np.testing.assert_array_equal(back.arrays()[name], array)


def test_arrays_hold_no_objects(played):
    assert not any(array.dtype.hasobject for array in played.arrays().values())


def test_concatenate(played):
    both = concatenate([played.select([3]), played.select([0, 1])])
    assert both.seed.tolist() == [13, 10, 11]
    assert both.images["front"][:, 0, 0, 0].tolist() == [13] * 3 + [10] * 3 + [11] * 3
    with pytest.raises(ValueError, match="nothing"):
        concatenate([])


def test_what_a_policy_drew_and_the_task_stay_with_their_trajectory(tiny_policy):
    jobs = [Job(i, 10 + i, 1, task=i % 2) for i in range(4)]
    made = play_episodes(ToyTasksEnv(3), PolicyPlayer(tiny_policy, 1.0), jobs, 0)[0]
    assert made.task.tolist() == [0, 1, 0, 1]
    assert made.drawn["tokens"].shape == made.actions.shape
    part = Trajectories.from_arrays(concatenate([made.select([3]), made.select([1, 0])]).arrays())
    assert part.task.tolist() == [1, 1, 0]
    np.testing.assert_array_equal(tiny_policy.binning.decode(part.drawn["tokens"]), part.actions)
    greedy = play_episodes(ToyTasksEnv(3), PolicyPlayer(tiny_policy, 0.0), jobs, 0)[0]
    assert greedy.drawn == {}
