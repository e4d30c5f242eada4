"""ACT: the latent that it imitates with and acts without, and what its tokens see."""

import dataclasses

import numpy as np
import torch
from made_gaussians import BLIND_SPEC, imitate, make, seen
from toy_env import PHRASES, TOY_SPEC

from sim_train.envs import task_spec
from sim_train.policies.act import Act, ActConfig
from sim_train.policies.imitation import SftLossConfig
from sim_train.policies.text import build_vocabulary


def test_the_default_is_small():
    policy = Act(task_spec("pick_cube"), ActConfig(), build_vocabulary(["pick up the red cube"]))
    assert sum(p.numel() for p in policy.parameters()) < 1_000_000


def test_shapes_come_from_the_contract():
    longer = dataclasses.replace(TOY_SPEC, horizon=5)
    assert make("act", spec=longer).act(*seen(3)).actions.shape == (3, 5, 4)


def two_ways(rows):
    """The same observation everywhere; half of the demonstrations go one way, half the other."""
    images, state, _ = seen(1)
    observed = ({"front": images["front"].repeat(rows, 0)}, state.repeat(rows, 0), [PHRASES[0]] * rows)
    actions = np.zeros((rows, 2, 4), np.float32)
    actions[: rows // 2, :, 0], actions[rows // 2 :, :, 0] = 0.03, -0.03
    return observed, actions


def test_the_latent_keeps_two_ways_apart():
    policy, rows = make("act"), 32
    policy.config = dataclasses.replace(policy.config, kl=0.01)
    observed, actions = two_ways(rows)
    place = np.zeros((rows, 3), np.float32)
    imitate(policy, *observed, actions, place, SftLossConfig(), steps=150, rate=1e-2)
    inputs, shown = policy.inputs(*observed), policy.normalise(torch.from_numpy(actions))
    with torch.no_grad():
        latent, _ = policy.encode_shown(inputs, shown)
        with_latent, _ = policy(inputs, latent)
        without, _ = policy(inputs)
    assert (with_latent[..., 0] - shown[..., 0]).abs().max() < 0.2
    assert (without[..., 0] - shown[..., 0]).abs().max() > 0.5


def test_a_strong_divergence_empties_the_latent():
    policy, rows = make("act"), 32
    policy.config = dataclasses.replace(policy.config, kl=100.0)
    observed, actions = two_ways(rows)
    imitate(policy, *observed, actions, np.zeros((rows, 3), np.float32), SftLossConfig(), steps=150, rate=1e-2)
    with torch.no_grad():
        shown = policy.normalise(torch.from_numpy(actions))
        mean, log_variance = policy.encode_shown(policy.inputs(*observed), shown)
    assert mean.abs().max() < 0.1
    assert log_variance.abs().max() < 0.1


def test_the_loss_is_that_of_the_chunk_plus_divergence_and_depends_on_its_draws_alone():
    policy, rows = make("act"), 4
    inputs, weights = policy.inputs(*seen(rows)), torch.full((rows, 2, 4), 1 / (rows * 8))
    actions = torch.zeros(rows, 2, 4)
    config = SftLossConfig(auxiliary=0.0)

    def loss(draws, shown=actions, weights=weights):
        return policy.imitation_loss(inputs, shown, weights, torch.zeros(rows, 3), config, draws)

    draws = torch.rand(rows, policy.imitation_draw_size, generator=torch.Generator().manual_seed(0))
    value, report = loss(draws)
    torch.testing.assert_close(loss(draws)[0], value)
    assert abs(float((loss(1 - draws)[0] - value).detach())) > 1e-7
    with torch.no_grad():
        mean, log_variance = policy.encode_shown(inputs, policy.normalise(actions))
        law = torch.distributions.Normal(mean, (0.5 * log_variance).exp())
        divergence = torch.distributions.kl_divergence(law, torch.distributions.Normal(0.0, 1.0)).sum(-1).mean()
    torch.testing.assert_close(value.detach() - report.imitation_loss, policy.config.kl * divergence)

    executed = weights * (torch.arange(2) < 1)[None, :, None]  # what was not executed is not even looked at
    odd = actions.clone()
    odd[:, 1] = 0.05
    torch.testing.assert_close(loss(draws, odd, executed)[0], loss(draws, actions, executed)[0])


def test_every_step_of_the_chunk_sees_every_other_one_and_all_tokens():
    policy = make("act")
    with torch.no_grad():
        policy.mean.weight.normal_(std=0.5)
    mean, _ = policy(policy.inputs(*seen(2)))
    (queries, places) = torch.autograd.grad(mean[:, 0].square().sum(), [policy.queries, policy.places])
    assert queries[-1].abs().max() > 0
    assert (places.abs().amax(dim=1) > 0).all()


def test_words_say_which_of_two_places_counts():
    policy, rows = make("act", spec=BLIND_SPEC), 256
    images, state, texts = seen(rows, spec=BLIND_SPEC)
    actions = np.zeros((rows, 2, 4), np.float32)
    actions[..., 1] = np.where(np.arange(rows) % 2, state[:, 7], state[:, 8])[:, None] * 0.02  # as PHRASES take turns
    imitate(policy, images, state, texts, actions, np.zeros((rows, 3), np.float32), SftLossConfig(), 150, 1e-2)
    with torch.no_grad():
        error = policy(policy.inputs(images, state, texts))[0] - policy.normalise(torch.from_numpy(actions)).clamp(
            -1, 1
        )
    assert error[..., 1].abs().mean() < 0.05  # of 0.3 if the words were not heard
