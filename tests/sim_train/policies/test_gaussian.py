"""What all Gaussian policies do: units, sampling, likelihood, learning from rewards."""

import numpy as np
import pytest
import torch
from made_gaussians import BLIND_SPEC, KINDS, imitate, make, seen, uniform
from toy_env import PHRASES, TOY_SPEC, ToyEnv

from sim_train.algorithms.advantages import grpo_advantages
from sim_train.algorithms.parallel import GradientThreads
from sim_train.algorithms.ppo import PpoConfig, PpoUpdater
from sim_train.algorithms.updater import UpdateConfig, Updater
from sim_train.checkpoint import load_checked, save_policy
from sim_train.policies.blueprint import BlueprintError, from_blueprint, to_blueprint
from sim_train.policies.gaussian import Spread
from sim_train.policies.imitation import SftLossConfig
from sim_train.rollouts.episodes import Job, play_episodes
from sim_train.rollouts.players import ExpertPlayer, PolicyPlayer

LOWER = np.array([f.lower for f in TOY_SPEC.action], np.float32)
UPPER = np.array([f.upper for f in TOY_SPEC.action], np.float32)
HALF = (UPPER - LOWER) / 2


@pytest.fixture(params=KINDS)
def policy(request):
    return make(request.param)


def tensors(drawn):
    return {name: torch.from_numpy(array) for name, array in drawn.items()}


def test_greedy_is_the_mean_and_repeatable(policy):
    with torch.no_grad():
        mean, _ = policy(policy.inputs(*seen(4)))
    first, second = policy.act(*seen(4)), policy.act(*seen(4))
    np.testing.assert_array_equal(first.actions, second.actions)
    np.testing.assert_allclose(first.actions, LOWER + (mean.numpy() + 1) * HALF, atol=1e-7)
    assert first.drawn == {}
    assert first.actions.shape == first.log_probs.shape == (4, 2, 4)
    assert first.actions.dtype == first.log_probs.dtype == np.float32


def test_samples_follow_their_draws_and_the_gaussian(policy):
    images, state, texts = seen(1)
    rows = 4000
    many = ({"front": images["front"].repeat(rows, 0)}, state.repeat(rows, 0), texts * rows)
    one, same = (policy.act(*many, temperature=1.5, draws=uniform(rows, policy)) for _ in range(2))
    np.testing.assert_array_equal(one.drawn["raw"], same.drawn["raw"])
    other = policy.act(*many, temperature=1.5, draws=uniform(rows, policy, seed=1))
    assert np.abs(other.drawn["raw"] - one.drawn["raw"]).max() > 0.1
    with torch.no_grad():
        mean, _ = policy(policy.inputs(images, state, texts))
    np.testing.assert_allclose(one.drawn["raw"].mean(0), mean[0], atol=0.03)
    np.testing.assert_allclose(one.drawn["raw"].std(0), 1.5 * 0.2, rtol=0.06)  # the spread that it starts with


def test_a_row_depends_on_its_own_draws_alone(policy):
    draws = uniform(4, policy)
    both = policy.act(*seen(4), temperature=1.0, draws=draws).drawn["raw"]
    images, state, texts = seen(4)
    last = policy.act({"front": images["front"][2:]}, state[2:], texts[2:], 1.0, draws[2:]).drawn["raw"]
    np.testing.assert_allclose(last, both[2:], atol=1e-5)


def test_the_ends_of_the_draws_are_finite_and_wrong_shapes_are_refused(policy):
    draws = np.zeros((2, policy.draw_size), np.float32)
    draws[1] = np.nextafter(np.float32(1), np.float32(0))
    assert np.isfinite(policy.act(*seen(2), temperature=1.0, draws=draws).drawn["raw"]).all()
    with pytest.raises(ValueError, match=r"draws must have shape \(2, 8\)"):
        policy.act(*seen(2), temperature=1.0, draws=draws[:1])


@pytest.mark.parametrize("temperature", [-1.0, float("nan"), float("inf")])
def test_temperatures_that_make_no_sense_are_refused(policy, temperature):
    with pytest.raises(ValueError, match="temperature above 0"):
        policy.act(*seen(1), temperature=temperature)


def test_log_probs_are_torchs_of_what_was_drawn_before_it_was_cut(policy):
    with torch.no_grad():
        policy.mean.bias += 0.9  # so that much of what is drawn lies outside the range
        policy.spread += torch.linspace(-1, 1, 8).view(2, 4)
    out = policy.act(*seen(64), temperature=1.3, draws=uniform(64, policy))
    outside = np.abs(out.drawn["raw"]) > 1
    assert 0.05 < outside.mean() < 0.9
    np.testing.assert_allclose(out.actions, LOWER + (out.drawn["raw"].clip(-1, 1) + 1) * HALF, atol=1e-7)

    inputs = policy.inputs(*seen(64))
    with torch.no_grad():
        mean, _ = policy(inputs)
        again = policy.log_prob(inputs, tensors(out.drawn), 1.3)
        law = torch.distributions.Normal(mean, policy.std(1.3).expand_as(mean))
        torch.testing.assert_close(again.log_probs, law.log_prob(tensors(out.drawn)["raw"]), atol=1e-4, rtol=1e-5)
        torch.testing.assert_close(again.entropy, law.entropy())
        other = policy.log_prob(inputs, tensors(out.drawn), 1.0)
    np.testing.assert_allclose(out.log_probs, again.log_probs, atol=1e-3)
    assert (other.log_probs - again.log_probs).abs().max() > 1e-2


def test_mean_and_spread_get_a_gradient(policy):
    out = policy.act(*seen(4), temperature=1.0, draws=uniform(4, policy))
    likelihood = policy.log_prob(policy.inputs(*seen(4)), tensors(out.drawn), 1.0)
    likelihood.log_probs.sum().backward()
    assert policy.spread.grad.abs().min() > 0
    assert policy.mean.weight.grad.abs().sum() > 0


def test_the_spread_starts_where_it_is_told_and_keeps_its_bounds():
    policy = make("mlp", spread=Spread(low=0.1, start=0.3, high=0.5))
    torch.testing.assert_close(policy.std(), torch.full((2, 4), 0.3))
    with torch.no_grad():
        policy.spread.fill_(-100.0)
        torch.testing.assert_close(policy.std(), torch.full((2, 4), 0.1))
        policy.spread.fill_(100.0)
        torch.testing.assert_close(policy.std(2.0), torch.full((2, 4), 1.0))


@pytest.mark.parametrize("bounds", [(0.0, 0.1, 0.2), (0.1, 0.1, 0.2), (0.1, 0.3, 0.2)])
def test_a_spread_without_room_is_refused(bounds):
    with pytest.raises(ValueError, match="0 < low < start < high"):
        make("mlp", spread=Spread(*bounds))


def test_the_answer_depends_on_image_state_and_instruction(policy):
    with torch.no_grad():
        policy.mean.weight.normal_(std=0.5)
    images, state, texts = seen(1)
    base = policy.act(images, state, texts).actions
    for changed in (
        ({"front": 255 - images["front"]}, state, texts),
        (images, state + 1, texts),
        (images, state, [PHRASES[1]]),
    ):
        assert np.abs(policy.act(*changed).actions - base).max() > 1e-6


def test_padding_is_not_read(policy):
    before = policy.act(*seen(2)).actions
    with torch.no_grad():
        policy.senses.words.weight[0] += 3.0
    np.testing.assert_allclose(policy.act(*seen(2)).actions, before, atol=1e-8)


def test_the_toys_demonstrations_are_learned(policy):
    env = ToyEnv(4)
    shown, _ = play_episodes(env, ExpertPlayer(env, np.zeros(4)), [Job(i, i, 1) for i in range(6)], version=0)
    texts = [shown.instructions[i] for i in shown.trajectory]
    observed = (shown.images, shown.state, texts)
    reports = imitate(policy, *observed, shown.actions, shown.target_position, SftLossConfig(), steps=200)
    assert reports[-1].imitation_loss < 0.1 * reports[0].imitation_loss
    assert reports[-1].target_error_mm < min(20, 0.5 * reports[0].target_error_mm)
    np.testing.assert_allclose(policy.act(*observed).actions, shown.actions, atol=4e-3)


def test_without_cameras_it_learns_from_the_state_and_has_no_auxiliary_loss(policy):
    blind = make("mlp" if type(policy).__name__ == "Mlp" else "act", spec=BLIND_SPEC)
    _, state, texts = seen(16, spec=BLIND_SPEC)
    actions = np.zeros((16, 2, 4), np.float32)
    actions[..., 0] = np.where(state[:, 7] > 0, 0.04, -0.04)[:, None]  # the cube's x decides
    nowhere = np.full((16, 3), np.nan, np.float32)
    reports = imitate(blind, {}, state, texts, actions, nowhere, SftLossConfig(), steps=250)
    assert reports[-1].target_error_mm is None
    np.testing.assert_allclose(blind.act({}, state, texts).actions[..., 0], actions[..., 0], atol=0.01)


def test_it_is_saved_and_comes_back(policy, tmp_path):
    with torch.no_grad():
        policy.spread += 0.3
        policy.mean.weight.normal_(std=0.3)
    save_policy(tmp_path / "policy", policy.eval(), {})
    back, deviation = load_checked(tmp_path / "policy")
    assert type(back) is type(policy)
    assert back.config == policy.config
    assert (deviation.actions, deviation.log_probs) == (0.0, 0.0)
    for temperature in (0.0, 1.0):
        asked = (*seen(3), temperature, uniform(3, policy))
        np.testing.assert_array_equal(back.act(*asked).actions, policy.act(*asked).actions)


def test_a_description_that_lacks_a_size_is_refused(policy):
    blueprint = to_blueprint(policy)
    del blueprint["model"]["spread"]["low"]
    with pytest.raises(BlueprintError, match=r"missing \['low'\]"):
        from_blueprint(blueprint)


def rollouts(policy, version, max_chunks=1):
    jobs = [Job(i, 1000 * version + i, 8) for i in range(8)]
    env = ToyEnv(16, margin=0.02, max_chunks=max_chunks)
    return play_episodes(env, PolicyPlayer(policy, 1.0), jobs, version, version)[0]


def advantages(played):
    return grpo_advantages(played.success.reshape(-1, 8).astype(np.float32)).reshape(-1)


def test_the_ratio_is_one_before_any_step_and_the_rollout_agrees(policy):
    played = rollouts(policy, 0, max_chunks=3)
    with GradientThreads(1) as threads:
        updater = Updater(policy, UpdateConfig(), threads)
        report = updater.update(played, advantages(played), version=0, rng=np.random.default_rng(0))
    assert report.first_ratio_error < 1e-3
    assert report.rollout_gap < 1e-3
    assert report.max_ratio_error > 1e-3


def test_reinforcement_raises_the_success_on_the_toy_task(policy):
    rng, rates = np.random.default_rng(0), []
    with GradientThreads(1) as threads:
        updater = Updater(policy, UpdateConfig(learning_rate=3e-3, minibatches=2), threads)
        for version in range(25):
            played = rollouts(policy, version)
            rates.append(float(played.success.mean()))
            updater.update(played, advantages(played), version, rng)
    assert rates[0] < 0.4
    assert np.mean(rates[-3:]) > 0.9


def test_a_critic_reads_the_trunk(policy):
    with GradientThreads(1) as threads:
        updater = PpoUpdater(policy, UpdateConfig(epochs=1), PpoConfig(hidden=8), threads, seed=0)
        report = updater.improve(rollouts(policy, 0, max_chunks=3), 0, np.random.default_rng(0))
    assert np.isfinite(report.grad_norm) and report.first_ratio_error < 1e-3
