"""An OpenVLA-OFT policy survives its description as JSON."""

import json

import numpy as np
import pytest
import torch
from made_openvla import SPEC, observed, word_tokenizer

import sim_train.policies.openvla.kind  # noqa: F401 - registers the kind
from sim_train.checkpoint import load_policy, save_policy
from sim_train.policies.blueprint import BlueprintError, from_blueprint, to_blueprint
from sim_train.policies.choice import PolicyChoice, make_policy
from sim_train.policies.openvla.checkpoint import save_openvla
from sim_train.policies.openvla.network import OpenVla
from sim_train.policies.openvla.policy import OpenVlaPolicy
from sim_train.typed import ConfigError


@pytest.fixture
def blueprint(policy):
    return json.loads(json.dumps(to_blueprint(policy)))


def test_comes_back_from_json(policy, blueprint):
    assert blueprint["model"]["kind"] == "openvla"
    again = from_blueprint(blueprint)
    assert isinstance(again, OpenVlaPolicy)
    again.load_state_dict(policy.state_dict())
    ours, theirs = again.act(*observed(3)), policy.act(*observed(3))
    np.testing.assert_array_equal(ours.actions, theirs.actions)
    np.testing.assert_array_equal(ours.log_probs, theirs.log_probs)
    assert {parameter.dtype for parameter in again.parameters()} == {torch.float32}


def test_goes_through_the_projects_own_checkpoint(policy, tmp_path):
    revision = save_policy(tmp_path / "saved", policy, {})
    again = load_policy(tmp_path / "saved")
    assert again.revision == revision
    np.testing.assert_array_equal(again.act(*observed(2)).log_probs, policy.act(*observed(2)).log_probs)


def test_view_and_missing_proprioception_come_back(policy):
    config = type(policy.network.config).miniature()
    plain = OpenVlaPolicy(policy.spec, OpenVla(config), policy.tokenizer, policy.action, None, 32, crop_area=0.9)
    again = from_blueprint(json.loads(json.dumps(to_blueprint(plain))))
    assert (again.text_tokens, again.crop_area, again.proprio) == (32, 0.9, None)
    assert again.network.config == config


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda b: b.pop("action"), "lacks 'action'"),
        (lambda b: b["model"].pop("siglip"), "lacks 'siglip'"),
        (lambda b: b["model"]["language"].pop("heads"), "missing .'heads'."),
        (lambda b: b["model"].update(extra=1), "unknown .'extra'."),
        (lambda b: b.update(tokenizer="{"), r"tokenizer\.json cannot be read"),
        (lambda b: b["action"].update(low=[0.0]), "vectors of one length"),
        (lambda b: b["view"].update(crop_area=2.0), "crop_area must lie"),
    ],
)
def test_names_what_is_wrong(blueprint, change, says):
    change(blueprint)
    with pytest.raises(BlueprintError, match=says):
        from_blueprint(blueprint)


def test_settings_choose_published_weights(policy, network, norm_stats, tmp_path):
    save_openvla(network, tmp_path, norm_stats)
    word_tokenizer().save(str(tmp_path / "tokenizer.json"))
    sizes = {"network": "miniature", "weights": str(tmp_path), "text_tokens": 20}
    chosen = make_policy(PolicyChoice("openvla", {**sizes, "dataset": "toy"}), SPEC, ())
    np.testing.assert_array_equal(chosen.act(*observed(3)).actions, policy.act(*observed(3)).actions)
    ours = make_policy(PolicyChoice("openvla", sizes), SPEC, ())  # the contract's ranges, which are the data set's
    np.testing.assert_allclose(ours.action.low, policy.action.low)
    ours.normalise_state_by(np.linspace(-1, 1, 7 * 101, dtype=np.float32).reshape(101, 7))
    assert (ours.proprio.low < -0.9).all()
    assert ours.proprio.high[0] == pytest.approx(0.97, abs=0.02)
    with pytest.raises(ConfigError, match=r"cannot be made for task toy: .*tokenizer\.json"):
        make_policy(PolicyChoice("openvla", {**sizes, "weights": str(tmp_path / "none")}), SPEC, ())
