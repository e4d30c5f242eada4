"""What other implementations got wrong, one by one. Where another test says more about it, it is named.

1. Group statistics are taken per trajectory, never per chunk (also `test_advantages`, which has the test vectors).
2. Before any step the ratio is 1 (`test_updater.test_the_ratio_is_one_before_any_step`, and
   `test_ppo.test_before_the_first_step_ratios_are_one_and_values_zero`); equal rewards change no weight
   (`test_updater.test_equal_rewards_change_no_weight`).
3. The trainer computes log-probabilities anew and tells its gap to the rollout.
4. Success in mid-chunk: what was not executed does not count (`rollouts/test_episodes` tells how it is recorded).
5. A checkpoint keeps float32 (also `test_checkpoint.test_masters_are_float32_so_that_a_small_update_survives`).
6. Nothing is trained on what is evaluated on (also `test_evaluate.test_only_evaluation_seeds_are_evaluated_on` and
   `test_train.test_seeds_of_training_validation_evaluation_and_lab_never_meet`).
7. Horizon and action dimensions come from the checkpoint, not from the module.
8. Workers hold all weights, so an episode may end early
   (also `rollouts/test_episodes.test_an_episode_ends_early_and_its_world_takes_the_next_one`).
9. Workers persist and are replaced (`rollouts/test_pool.test_a_worker_that_dies_or_hangs_is_back_within_five_seconds`,
   `test_a_crash_loses_no_finished_episode_and_changes_nothing`), faults are played again
   (`rollouts/test_episodes.test_a_fault_is_played_again_and_never_scored`); pictures are made once a chunk.
"""

import dataclasses

import numpy as np
import pytest
import torch
from tiny_model import TINY
from toy_env import TOY_SPEC, ToyEnv

from sim_train.algorithms.advantages import group_advantages
from sim_train.algorithms.updater import UpdateConfig, Updater
from sim_train.checkpoint import load_policy, save_policy
from sim_train.envs import BatchEnv, task_spec
from sim_train.policies.text import build_vocabulary
from sim_train.policies.token_vla import TokenVla
from sim_train.rollouts.episodes import Job, play_episodes
from sim_train.rollouts.players import PolicyPlayer
from sim_train.stages.seeds import VALIDATION
from sim_train.worlds.seeds import EVALUATION, LAB


def learned(policy, threads, played, advantages, **settings):
    """The policy's weights after one update from those that it has now."""
    start = {name: value.clone() for name, value in policy.state_dict().items()}
    updater = Updater(policy, UpdateConfig(**settings), threads)
    report = updater.update(played, advantages, 0, np.random.default_rng(0))
    after = torch.cat([p.detach().flatten().clone() for p in policy.parameters()])
    policy.load_state_dict(start)
    return after, report


def signs(played):
    return np.where(played.success, 1.0, -1.0).astype(np.float32)


def test_1_a_long_failure_counts_once_however_many_chunks_it_has(tiny_policy, threads, play, monkeypatch):
    pool = play(tiny_policy, margin=0.04, max_chunks=3)
    winner = np.flatnonzero(pool.success & (pool.length == 1))[:1]
    losers = np.flatnonzero(~pool.success)[:7]
    played = pool.select([*winner, *losers])
    assert played.length.tolist() == [1] + [3] * 7
    got = np.zeros(22)
    updater = Updater(tiny_policy, UpdateConfig(epochs=1, minibatches=3), threads)
    loss = updater.policy_loss

    def spy(batch, old, rows):
        got[batch.rows[rows].numpy()] = batch.advantages[rows].numpy()
        return loss(batch, old, rows)

    monkeypatch.setattr(updater, "policy_loss", spy)
    updater.update(played, group_advantages(played.success, 8, "grpo"), 0, np.random.default_rng(0))
    np.testing.assert_allclose(got, [2.4749] + [-0.3536] * 21, atol=1e-4)  # per chunk it would be 4.58 and -0.21


def test_2_a_stage_whose_groups_all_fail_leaves_every_weight_alone(reinforcement, weights):
    learner = reinforcement(margin=1.0, min_start=0.0)  # with weight decay
    before = weights(learner.policy)
    record = learner.advance()
    assert record["mixed"] == 0
    assert torch.equal(weights(learner.policy), before)


def test_3_rollouts_that_are_wrong_about_their_probabilities_are_noticed_and_harmless(tiny_policy, threads, play):
    played = play(tiny_policy)
    expected, fine = learned(tiny_policy, threads, played, signs(played))
    wrong = dataclasses.replace(played, log_probs=played.log_probs - 0.5)
    got, report = learned(tiny_policy, threads, wrong, signs(played))
    assert fine.rollout_gap < 1e-2
    assert report.rollout_gap == pytest.approx(0.5, abs=1e-2)
    assert report.first_ratio_error < 1e-3
    assert torch.equal(got, expected)


def test_4_tokens_behind_a_success_teach_nothing(tiny_policy, threads, play):
    played = play(tiny_policy)
    unused = played.executed_steps[:, None] <= np.arange(2)
    assert unused.any()
    expected, _ = learned(tiny_policy, threads, played, signs(played))

    def with_other_tokens(where):
        tokens = played.drawn["tokens"]
        return dataclasses.replace(played, drawn={"tokens": np.where(where[:, :, None], 15 - tokens, tokens)})

    assert torch.equal(learned(tiny_policy, threads, with_other_tokens(unused), signs(played))[0], expected)
    last = played.executed_steps[:, None] == np.arange(2) + 1  # the step of the success itself does
    assert not torch.equal(learned(tiny_policy, threads, with_other_tokens(last), signs(played))[0], expected)


def test_5_an_update_that_bfloat16_would_lose_survives_the_checkpoint(tiny_policy, threads, play, weights, tmp_path):
    played = play(tiny_policy)
    before = weights(tiny_policy)
    updater = Updater(tiny_policy, UpdateConfig(learning_rate=5e-6, warmup_steps=0), threads)
    updater.update(played, signs(played), 0, np.random.default_rng(0))
    after = weights(tiny_policy)
    changed = after != before
    assert changed.float().mean() > 0.5
    assert (after.bfloat16() != before.bfloat16())[changed].float().mean() < 0.2
    save_policy(tmp_path / "p", tiny_policy.eval(), {})
    assert torch.equal(weights(load_policy(tmp_path / "p")), after)


def test_6_a_stage_validates_on_starts_that_it_never_trains_on(reinforcement):
    learner = reinforcement()
    pool = learner.run.pool
    learner.advance()
    trained, pool.seeds = set(pool.seeds), []
    learner.check()
    validated = set(pool.seeds)
    assert len(trained) >= 4 and len(validated) == 8
    assert not trained & validated
    assert validated <= set(VALIDATION)
    assert not (trained | validated) & (set(EVALUATION) | set(LAB))


def test_7_policies_of_different_chunks_live_in_one_process(tmp_path):
    specs = [dataclasses.replace(TOY_SPEC, horizon=5), TOY_SPEC, task_spec("handover_block")]
    for i, spec in enumerate(specs):
        save_policy(tmp_path / str(i), TokenVla(spec, TINY, build_vocabulary(["go"])).eval(), {})
    shapes = []
    for i, spec in enumerate(specs):
        policy = load_policy(tmp_path / str(i))
        assert (policy.spec.horizon, policy.spec.action) == (spec.horizon, spec.action)
        images = {c.name: np.zeros((1, c.input_size, c.input_size, 3), dtype=np.uint8) for c in spec.cameras}
        state = np.zeros((1, len(spec.state)), dtype=np.float32)
        shapes.append(policy.act(images, state, ["go"]).actions.shape[1:])
    assert shapes == [(5, 4), (2, 4), (specs[2].horizon, 8)]


def test_8_nothing_is_inferred_for_episodes_that_are_over(tiny_policy):
    env, player = ToyEnv(8, margin=0.02), PolicyPlayer(tiny_policy, 1.0)
    asked = []
    choose = player.choose
    player.choose = lambda env, indices, *rest: asked.append(len(indices)) or choose(env, indices, *rest)
    played, _ = play_episodes(env, player, [Job(i, i, 4) for i in range(12)], 0)
    assert 1 in played.length and 3 in played.length
    assert sum(asked) == played.length.sum() < 3 * len(played)


def test_9_a_chunk_costs_one_picture_a_camera():
    env = BatchEnv("reach_target", 2)
    taken = []
    picture = env.engine.picture
    env.engine.picture = lambda row, *rest: taken.append(row) or picture(row, *rest)
    try:
        env.reset([1, 2])
        for _ in range(2):
            env.step(env.expert_actions())
    finally:
        env.close()
    assert sorted(taken) == [0] * 3 + [1] * 3  # of each world: the start, and after each chunk of many ticks
