"""OpenVLA-OFT behind the interface of every policy."""

import dataclasses

import numpy as np
import pytest
import torch
from made_openvla import QUESTION, SPEC, observed, word_tokenizer
from toy_env import TOY_SPEC

from sim_train.policies.openvla.actions import Normaliser, decode_tokens
from sim_train.policies.openvla.checkpoint import save_openvla
from sim_train.policies.openvla.config import OpenVlaConfig
from sim_train.policies.openvla.layout import OpenVlaCheckpointError
from sim_train.policies.openvla.network import OpenVla
from sim_train.policies.openvla.policy import OpenVlaPolicy


def test_shapes_come_from_the_contract(policy):
    out = policy.act(*observed(3))
    assert out.actions.shape == out.drawn["tokens"].shape == out.log_probs.shape == (3, 3, 4)
    assert (out.actions.dtype, out.drawn["tokens"].dtype, out.log_probs.dtype) == (np.float32, np.int64, np.float32)


def test_prompt(policy):
    text = policy.inputs(*observed(1)).text[0].tolist()
    ids = [policy.tokenizer.token_to_id(word) for word in QUESTION]
    assert text == [384] * (20 - len(ids) - 1) + ids + [120]


def test_actions_decode_from_tokens(policy):
    out = policy.act(*observed(4), temperature=5.0)
    lower, upper = ([getattr(field, end) for field in SPEC.action] for end in ("lower", "upper"))
    centres = decode_tokens(out.drawn["tokens"], 256)
    expected = (centres + 1) / 2 * (np.array(upper) - lower) + lower
    np.testing.assert_allclose(out.actions, expected, atol=1e-6)


def test_greedy_is_the_likeliest_token(policy):
    with torch.no_grad():
        best = policy(policy.inputs(*observed(4))).argmax(-1)
    np.testing.assert_array_equal(policy.act(*observed(4)).drawn["tokens"], best.numpy())


def test_log_probs_of_acting_are_those_of_training(policy):
    out = policy.act(*observed(4), temperature=1.6)
    with torch.no_grad():
        drawn = {"tokens": torch.from_numpy(out.drawn["tokens"])}
        again = policy.log_prob(policy.inputs(*observed(4)), drawn, 1.6).log_probs
        total = (policy(policy.inputs(*observed(4))) / 1.6).softmax(-1).sum(-1)
    np.testing.assert_allclose(again.numpy(), out.log_probs, atol=1e-5)
    torch.testing.assert_close(total, torch.ones_like(total))


def test_draws_decide_what_is_sampled(policy):
    draws = np.random.default_rng(5).random((2, 12)).astype(np.float32)
    first, second = (policy.act(*observed(2), temperature=1.0, draws=draws).drawn["tokens"] for _ in range(2))
    np.testing.assert_array_equal(first, second)
    lowest = policy.act(*observed(2), temperature=1.0, draws=np.zeros_like(draws)).drawn["tokens"]
    assert (lowest <= first).all()
    assert (lowest < first).any()


def test_rows_do_not_depend_on_each_other(policy):
    images, state, texts = observed(4)
    alone = policy.act({"front": images["front"][2:3]}, state[2:3], texts[2:3])
    np.testing.assert_allclose(policy.act(images, state, texts).log_probs[2:3], alone.log_probs, atol=1e-5)


def test_loads_from_a_directory(policy, network, norm_stats, tmp_path):
    save_openvla(network, tmp_path, norm_stats)
    with pytest.raises(OpenVlaCheckpointError, match=r"no tokenizer\.json"):
        OpenVlaPolicy.load(tmp_path, SPEC, network.config, "toy", "q01_q99")
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(OpenVlaCheckpointError, match=r"tokenizer\.json cannot be read"):
        OpenVlaPolicy.load(tmp_path, SPEC, network.config, "toy", "q01_q99")
    word_tokenizer().save(str(tmp_path / "tokenizer.json"))
    loaded = OpenVlaPolicy.load(tmp_path, SPEC, network.config, "toy", "q01_q99")
    ours, theirs = loaded.act(*observed(3)), policy.act(*observed(3))
    np.testing.assert_array_equal(ours.drawn["tokens"], theirs.drawn["tokens"])
    np.testing.assert_allclose(ours.log_probs, theirs.log_probs, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda i, s, t: ({}, s, t), "needs the cameras"),
        (lambda i, s, t: ({"front": i["front"][:, :20]}, s, t), "must be uint8"),
        (lambda i, s, t: (i, s * np.nan, t), "finite"),
        (lambda i, s, t: (i, s, [t[0] * 9]), "at most 20"),
    ],
)
def test_refuses_observations_that_do_not_fit(policy, change, says):
    with pytest.raises(ValueError, match=says):
        policy.act(*change(*observed(1)))


@pytest.mark.parametrize("temperature", [-1.0, float("nan"), float("inf")])
def test_refuses_temperatures(policy, temperature):
    with pytest.raises(ValueError, match="temperature"):
        policy.act(*observed(1), temperature=temperature)


def make(policy, **changes):
    given = {"spec": SPEC, "network": policy.network, "action": policy.action, "proprio": policy.proprio} | changes
    return OpenVlaPolicy(tokenizer=policy.tokenizer, **given)


def test_crop_hides_the_border(policy):
    cropped = make(policy, crop_area=0.5)
    images, state, texts = observed(1)
    changed = images["front"].copy()
    changed[:, 0] = 255 - changed[:, 0]
    framed = {"front": changed}
    np.testing.assert_array_equal(
        cropped.act(images, state, texts).log_probs, cropped.act(framed, state, texts).log_probs
    )
    assert (policy.act(images, state, texts).log_probs != policy.act(framed, state, texts).log_probs).any()
    with pytest.raises(ValueError, match="crop_area"):
        make(policy, crop_area=1.5)


def test_refuses_what_does_not_fit_together(policy):
    short, wide = (Normaliser(np.full(n, -1.0), np.ones(n), np.ones(n, dtype=bool)) for n in (3, 4))
    with pytest.raises(ValueError, match="input_size 16"):
        make(policy, spec=dataclasses.replace(SPEC, cameras=TOY_SPEC.cameras))
    with pytest.raises(ValueError, match="4 action dimensions, the statistics 3"):
        make(policy, action=short)
    with pytest.raises(ValueError, match=r"'dx' reaches .* beyond the contract's -0\.05\.\.0\.05"):
        make(policy, action=wide)
    with pytest.raises(ValueError, match="are needed"):
        make(policy, proprio=None)
    with pytest.raises(ValueError, match="of no use"):
        make(policy, network=OpenVla(OpenVlaConfig.miniature()))
    with pytest.raises(ValueError, match="7 in the network and 4 in the statistics"):
        make(policy, proprio=wide)
