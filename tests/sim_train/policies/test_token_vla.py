"""The policy: shapes from the contract, sampling, and what it attends to."""

import dataclasses

import numpy as np
import pytest
import torch
from toy_env import PHRASES, TOY_SPEC

from sim_train.policies.blueprint import BlueprintError, from_blueprint, to_blueprint
from sim_train.policies.token_vla import TokenVla


def seen(batch, seed=0):
    rng = np.random.default_rng(seed)
    images = {"front": rng.integers(0, 255, (batch, 16, 16, 3), dtype=np.uint8)}
    return images, rng.normal(size=(batch, 7)).astype(np.float32), [PHRASES[i % 2] for i in range(batch)]


def test_shapes_come_from_the_contract(tiny_policy):
    longer = dataclasses.replace(TOY_SPEC, horizon=5)
    policy = TokenVla(longer, tiny_policy.config, tiny_policy.tokenizer.vocabulary)
    out = policy.act(*seen(3))
    assert out.actions.shape == out.drawn["tokens"].shape == out.log_probs.shape == (3, 5, 4)
    assert out.actions.dtype == out.log_probs.dtype == np.float32
    assert out.drawn["tokens"].dtype == np.int64


def test_actions_lie_in_the_contracts_range(tiny_policy):
    actions = tiny_policy.act(*seen(64), temperature=5.0).actions
    for i, field in enumerate(TOY_SPEC.action):
        assert actions[..., i].min() >= np.float32(field.lower)
        assert actions[..., i].max() <= np.float32(field.upper)


def test_greedy_is_the_likeliest_token_and_repeatable(tiny_policy):
    inputs = tiny_policy.inputs(*seen(4))
    with torch.no_grad():
        best = tiny_policy(inputs)[0].argmax(-1)
    first, second = tiny_policy.act(*seen(4)), tiny_policy.act(*seen(4))
    np.testing.assert_array_equal(first.drawn["tokens"], best)
    np.testing.assert_array_equal(first.drawn["tokens"], second.drawn["tokens"])


def test_sampling_follows_its_draws_and_its_distribution(tiny_policy):
    images, state, texts = seen(1)
    many = ({"front": images["front"].repeat(4000, 0)}, state.repeat(4000, 0), texts * 4000)
    draws = np.random.default_rng(1).random((4000, 8), dtype=np.float32)
    one, same = (tiny_policy.act(*many, temperature=0.5, draws=draws) for _ in range(2))
    np.testing.assert_array_equal(one.drawn["tokens"], same.drawn["tokens"])
    with torch.no_grad():
        probabilities = (tiny_policy(tiny_policy.inputs(images, state, texts))[0][0, 0, 0] / 0.5).softmax(-1)
    counts = np.bincount(one.drawn["tokens"][:, 0, 0], minlength=16) / 4000
    np.testing.assert_allclose(counts, probabilities, atol=0.04)


def test_log_probs_are_those_of_the_tokens_at_the_same_temperature(tiny_policy):
    out = tiny_policy.act(*seen(8), temperature=1.6)
    tokens = {"tokens": torch.from_numpy(out.drawn["tokens"])}
    with torch.no_grad():
        again = tiny_policy.log_prob(tiny_policy.inputs(*seen(8)), tokens, 1.6).log_probs
        other = tiny_policy.log_prob(tiny_policy.inputs(*seen(8)), tokens, 1.0).log_probs
    np.testing.assert_allclose(again.numpy(), out.log_probs, atol=1e-5)
    assert np.abs(other.numpy() - out.log_probs).max() > 1e-3


def test_the_answer_depends_on_image_state_and_instruction(tiny_policy):
    images, state, texts = seen(1)
    with torch.no_grad():
        base = tiny_policy(tiny_policy.inputs(images, state, texts))[0]
        for changed in (
            ({"front": 255 - images["front"]}, state, texts),
            (images, state + 1, texts),
            (images, state, [PHRASES[1]]),
        ):
            assert not torch.allclose(tiny_policy(tiny_policy.inputs(*changed))[0], base, atol=1e-4)


def test_padding_is_not_read(tiny_policy):
    images, state, texts = seen(1)
    wider = dataclasses.replace(tiny_policy.config, text_tokens=8, bf16=False)
    torch.manual_seed(0)
    policy = TokenVla(TOY_SPEC, wider, tiny_policy.tokenizer.vocabulary).eval()
    inputs = policy.inputs(images, state, texts)
    with torch.no_grad():
        before = policy(inputs)[0]
        policy.language_model.embed_tokens.weight[0] += 3.0
        torch.testing.assert_close(policy(inputs)[0], before)


def test_every_action_token_sees_every_other_one(tiny_policy):
    """No causal mask: what the last placeholder holds reaches the first action token."""
    config = dataclasses.replace(tiny_policy.config, bf16=False)
    torch.manual_seed(0)
    policy = TokenVla(TOY_SPEC, config, tiny_policy.tokenizer.vocabulary)
    logits = policy(policy.inputs(*seen(1)))[0]
    logits[0, 0, 0].square().sum().backward()
    assert policy.placeholders.grad[-1].abs().max() > 0


def test_state_is_normalised_by_statistics_that_travel_with_the_weights(tiny_policy):
    rng = np.random.default_rng(0)
    tiny_policy.normalise_state_by((rng.normal(size=(500, 7)) * 2 + 5).astype(np.float32))
    weights = tiny_policy.state_dict()
    torch.testing.assert_close(weights["state_mean"], torch.full((7,), 5.0), atol=0.4, rtol=0)
    torch.testing.assert_close(weights["state_scale"], torch.full((7,), 2.0), atol=0.3, rtol=0)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda i, s, t: ({}, s, t), "cameras"),
        (lambda i, s, t: ({**i, "wrist": i["front"]}, s, t), "cameras"),
        (lambda i, s, t: ({"front": i["front"][:, :8]}, s, t), "'front'"),
        (lambda i, s, t: ({"front": i["front"].astype(np.float32)}, s, t), "uint8"),
        (lambda i, s, t: (i, s[:, :6], t), "state"),
        (lambda i, s, t: (i, np.full_like(s, np.nan), t), "finite"),
        (lambda i, s, t: (i, s, t[:1]), "front"),
    ],
)
def test_observations_that_do_not_fit_are_refused(tiny_policy, change, says):
    with pytest.raises(ValueError, match=says):
        tiny_policy.act(*change(*seen(2)))


@pytest.mark.parametrize("temperature", [-1.0, float("nan"), float("inf")])
def test_a_temperature_that_is_none(tiny_policy, temperature):
    with pytest.raises(ValueError, match="temperature"):
        tiny_policy.act(*seen(1), temperature=temperature)


def test_a_blueprint_builds_the_same_network(tiny_policy):
    other = from_blueprint(to_blueprint(tiny_policy))
    other.load_state_dict(tiny_policy.state_dict())
    np.testing.assert_array_equal(other.act(*seen(4)).actions, tiny_policy.act(*seen(4)).actions)
    assert other.spec == tiny_policy.spec


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda b: b.pop("vocabulary"), "vocabulary"),
        (lambda b: b["model"].update(kind="diffusion"), "diffusion"),
        (lambda b: b["model"].update(wings=2), "wings"),
        (lambda b: b["model"].pop("layers"), "layers"),
        (lambda b: b["spec"].update(horizon=0), "horizon"),
        (lambda b: b["vocabulary"].reverse(), "vocabulary"),
    ],
)
def test_a_blueprint_that_cannot_be_built_is_refused_by_name(tiny_policy, change, says):
    blueprint = to_blueprint(tiny_policy)
    change(blueprint)
    with pytest.raises(BlueprintError, match=says):
        from_blueprint(blueprint)
