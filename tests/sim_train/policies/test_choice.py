"""Choosing a policy by kind and sizes."""

import dataclasses

import numpy as np
import pytest
import torch
from toy_env import PHRASES, TOY_SPEC

from sim_train.policies.blueprint import from_blueprint, to_blueprint
from sim_train.policies.choice import PolicyChoice, make_policy, sizes_of
from sim_train.policies.kinds import kind_names
from sim_train.policies.text import build_vocabulary
from sim_train.typed import ConfigError

WORDS = build_vocabulary(PHRASES)
SMALL = {
    "token_vla": {"d_model": 24, "layers": 1, "heads": 2, "mlp": 32, "channels": [4, 8, 8]},
    "flow_vla": {"prefix": {"d_model": 24, "layers": 1, "heads": 2, "mlp": 32, "channels": [4, 8, 8]}},
    "openvla": {"network": "miniature"},
}


def spec_for(kind):
    camera = dataclasses.replace(TOY_SPEC.cameras[0], input_size=28)  # a whole number of OpenVLA's patches
    return dataclasses.replace(TOY_SPEC, cameras=(camera,)) if kind == "openvla" else TOY_SPEC


@pytest.mark.parametrize("kind", sorted(SMALL))
def test_a_chosen_policy_acts_and_comes_back_from_its_description(kind):
    torch.manual_seed(0)
    policy = make_policy(PolicyChoice(kind, SMALL[kind]), spec_for(kind), WORDS)
    size = policy.spec.cameras[0].input_size
    images, state = {"front": np.zeros((2, size, size, 3), np.uint8)}, np.zeros((2, 7), np.float32)
    policy.normalise_state_by(np.random.default_rng(0).normal(size=(50, 7)).astype(np.float32))
    again = from_blueprint(to_blueprint(policy))
    again.load_state_dict(policy.state_dict())
    ours, theirs = (p.act(images, state, list(PHRASES)) for p in (policy, again))
    assert ours.actions.shape == ours.log_probs.shape == (2, 2, 4)
    np.testing.assert_array_equal(ours.actions, theirs.actions)
    draws = np.random.default_rng(0).random((2, policy.draw_size), dtype=np.float32)
    explored = policy.act(images, state, list(PHRASES), 1.0, draws)
    assert explored.drawn
    assert all(len(array) == 2 for array in explored.drawn.values())


@pytest.mark.parametrize("kind", kind_names())
def test_every_kind_has_default_sizes(kind):
    assert sizes_of(PolicyChoice(kind)) is not None
    assert PolicyChoice(kind).checks() == []


@pytest.mark.parametrize(
    ("choice", "says"),
    [
        (
            PolicyChoice("token_vlx"),
            r"policy.kind 'token_vlx' is unknown \(did you mean token_vla\?\); known are .*act",
        ),
        (PolicyChoice("token_vla", {"wings": 2}), r"unknown setting policy\.sizes\.wings .*; known here are d_model"),
        (PolicyChoice("token_vla", {"d_model": "wide"}), r"policy\.sizes\.d_model must be of type int; got 'wide'"),
        (PolicyChoice("flow_vla", {"prefix": {"heads": 1.5}}), r"policy\.sizes\.prefix\.heads must be of type int"),
        (PolicyChoice("openvla", {"network": "tiny"}), r"policy\.sizes\.network must be one of openvla_7b, miniature"),
    ],
)
def test_what_cannot_be_chosen_is_named(choice, says):
    assert [fine for fine, _ in choice.checks()] == [False]
    with pytest.raises(ConfigError, match=says):
        make_policy(choice, TOY_SPEC, WORDS)


def test_a_kind_that_does_not_fit_the_contract_says_so():
    with pytest.raises(ConfigError, match=r"policy.kind=openvla cannot be made for task toy: .*input_size 16"):
        make_policy(PolicyChoice("openvla", {"network": "miniature"}), TOY_SPEC, WORDS)
    with pytest.raises(ConfigError, match="more than the"):
        words = build_vocabulary([" ".join(f"word{i}" for i in range(200))])
        make_policy(PolicyChoice("openvla", {"network": "miniature"}), spec_for("openvla"), words)
