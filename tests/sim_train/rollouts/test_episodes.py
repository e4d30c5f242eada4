"""Episodes in one process."""

import numpy as np
import pytest
from toy_env import ToyEnv

from sim_train.rollouts.episodes import EnvironmentFaultError, Job, play_episodes
from sim_train.rollouts.players import Choice, ExpertPlayer, Player, PolicyPlayer


class Scripted(Player):
    """Goes right at chunk `at` of each episode, step `step`; counts the rows it was asked for."""

    def __init__(self, at, step=0):
        self.at, self.step, self.asked = at, step, []

    def choose(self, env, indices, seen, rngs):
        self.asked.append(len(indices))
        actions = np.full((len(indices), 2, 4), -0.03, dtype=np.float32)
        actions[env.chunks[list(indices)] == self.at, self.step, 0] = 0.03
        return Choice(actions, actions, {}, np.zeros_like(actions))


def right(count):
    return [Job(i, 2 * i + 1, 1) for i in range(count)]  # odd seeds are told to go right


def test_success_in_mid_chunk_counts_the_executed_steps():
    played, _ = play_episodes(ToyEnv(2), Scripted(at=1, step=0), right(2), 0)
    assert played.success.all()
    assert played.length.tolist() == [2, 2]
    assert played.executed_steps.tolist() == [2, 1] * 2


def test_a_timeout_is_a_failure_with_all_steps():
    played, _ = play_episodes(ToyEnv(2), Scripted(at=9), right(2), 0)
    assert not played.success.any()
    assert played.length.tolist() == [3, 3]
    assert (played.executed_steps == 2).all()


def test_an_episode_ends_early_and_its_world_takes_the_next_one():
    player = Scripted(at=0)
    played, _ = play_episodes(ToyEnv(2), player, right(6), 0)
    assert player.asked == [2, 2, 2]  # never an inference for an episode that is over
    assert played.seed.tolist() == [1, 3, 5, 7, 9, 11]


def test_the_order_is_that_of_the_groups_whoever_finishes_first(tiny_policy):
    jobs = [Job(5, 11, 2), Job(2, 12, 2), Job(9, 13, 2)]
    played, _ = play_episodes(ToyEnv(4), PolicyPlayer(tiny_policy, 1.0), jobs, 3)
    assert played.group.tolist() == [2, 2, 5, 5, 9, 9]
    assert played.seed.tolist() == [12, 12, 11, 11, 13, 13]
    assert (played.version == 3).all()


def test_a_fault_is_played_again_and_never_scored():
    clean, none = play_episodes(ToyEnv(4), Scripted(at=1), right(8), 0)
    faulty, faults = play_episodes(ToyEnv(4, fault_every=3), Scripted(at=1), right(8), 0)
    assert none == 0
    assert faults > 0
    assert faulty.success.tolist() == clean.success.tolist()
    assert faulty.seed.tolist() == clean.seed.tolist()
    assert faulty.length.tolist() == clean.length.tolist()


def test_a_simulator_that_always_fails_is_refused():
    with pytest.raises(EnvironmentFaultError, match="seed 1"):
        play_episodes(ToyEnv(1, fault_every=1), Scripted(at=0), right(1), 0)


def test_what_is_recorded_is_what_the_policy_said(tiny_policy):
    env = ToyEnv(4)
    played, _ = play_episodes(env, PolicyPlayer(tiny_policy, 1.0), [Job(i, i, 2) for i in range(4)], 0)
    np.testing.assert_array_equal(tiny_policy.binning.decode(played.drawn["tokens"]), played.actions)
    assert (played.log_probs < 0).all()
    assert (played.images["front"][:, 0, 0, 0] == played.seed[played.trajectory]).all()
    assert played.instructions[0] == "go left"


def test_the_expert_is_disturbed_but_remembered_undisturbed():
    env = ToyEnv(8)
    expert = ExpertPlayer(env, np.array([0.2, 0.2, 0.2, 0.0]))
    seen = env.reset(range(8), list(range(8)))
    choice = expert.choose(env, list(range(8)), seen, [np.random.default_rng(i) for i in range(8)])
    np.testing.assert_array_equal(choice.recorded, env.expert_actions(range(8)))
    moved = choice.played - choice.recorded
    assert moved[..., :3].std() > 0.005
    assert (moved[..., 3] == 0).all()
    for i, field in enumerate(env.spec.action):
        assert choice.played[..., i].min() >= np.float32(field.lower)
        assert choice.played[..., i].max() <= np.float32(field.upper)
