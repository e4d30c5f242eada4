"""The perceptron: the spread that it learns from demonstrations, and its sizes."""

import numpy as np
import pytest
import torch
from made_gaussians import imitate, make, seen
from toy_env import PHRASES, TOY_SPEC

from sim_train.envs import task_spec
from sim_train.policies.imitation import SftLossConfig
from sim_train.policies.mlp import Mlp, MlpConfig
from sim_train.policies.text import build_vocabulary


def test_the_default_is_small():
    policy = Mlp(task_spec("pick_cube"), MlpConfig(), build_vocabulary(["pick up the red cube"]))
    assert sum(p.numel() for p in policy.parameters()) < 300_000


def test_a_network_without_a_layer_is_refused():
    with pytest.raises(ValueError, match="layers must be at least 1"):
        Mlp(TOY_SPEC, MlpConfig(layers=0), build_vocabulary(PHRASES))


def test_the_loss_is_the_divergence_from_a_gaussian_around_the_expert():
    policy, rows = make("mlp"), 6
    inputs = policy.inputs(*seen(rows))
    actions = torch.from_numpy(np.random.default_rng(0).uniform(-0.04, 0.06, (rows, 2, 4)).astype(np.float32))
    weights = torch.rand(rows, 2, 4)
    config = SftLossConfig(sigma=0.08, auxiliary=0.0)
    loss, report = policy.imitation_loss(inputs, actions, weights, torch.zeros(rows, 3), config, torch.rand(rows, 0))
    with torch.no_grad():
        own = torch.distributions.Normal(policy(inputs)[0], policy.std().expand(rows, -1, -1))
        expert = torch.distributions.Normal(policy.normalise(actions).clamp(-1, 1), 0.16)
        wanted = (torch.distributions.kl_divergence(expert, own) * weights).sum()
    torch.testing.assert_close(loss.detach(), wanted)
    assert report.imitation_loss == pytest.approx(float(wanted), rel=1e-5)


def test_doubt_in_the_demonstrations_becomes_spread():
    """One observation, two answers in dx, one in dy."""
    policy, rows = make("mlp"), 32
    images, state, _ = seen(1)
    observed = ({"front": images["front"].repeat(rows, 0)}, state.repeat(rows, 0), [PHRASES[0]] * rows)
    actions = np.zeros((rows, 2, 4), np.float32)
    actions[: rows // 2, :, 0], actions[rows // 2 :, :, 0] = 0.025, -0.025
    imitate(policy, *observed, actions, np.zeros((rows, 3), np.float32), SftLossConfig(), steps=250, rate=2e-2)
    std = policy.std().detach().numpy()
    np.testing.assert_allclose(std[:, 0], np.hypot(0.5, 0.1), rtol=0.1)
    np.testing.assert_allclose(std[:, 1], 0.1, rtol=0.1)  # no surer than sigma, 0.05 of the range
