"""Other kinds of policies take part by registering."""

import dataclasses

import numpy as np
import pytest
import torch

from sim_train.checkpoint import load_checked, load_policy, read_manifest, save_policy
from sim_train.policies import kinds
from sim_train.policies.blueprint import BlueprintError, from_blueprint, to_blueprint
from sim_train.policies.flow_vla import FlowVla, FlowVlaConfig
from sim_train.policies.kinds import Kind, register, sizes
from sim_train.policies.protocol import PolicyOutput
from sim_train.policies.token_vla import TokenVla


@dataclasses.dataclass(frozen=True)
class Sizes:
    width: int = 3
    channels: tuple[int, ...] = (2, 4)


class Still(torch.nn.Module):
    """Always does what its weights say, and gives no log-probabilities."""

    revision = ""

    def __init__(self, spec, config):
        super().__init__()
        self.spec, self.config = spec, config
        self.answer = torch.nn.Parameter(torch.rand(spec.horizon, len(spec.action)))

    def act(self, images, state, instructions, temperature=0.0, draws=None):
        actions = self.answer.detach().expand(len(instructions), -1, -1).numpy()
        return PolicyOutput(actions, np.zeros((0,), np.int64), np.zeros((0,), np.float32))


def describe(policy):
    return {"model": dataclasses.asdict(policy.config)}


def build(spec, parts):
    return Still(spec, sizes(Sizes, parts["model"]))


@pytest.fixture
def still(monkeypatch):
    monkeypatch.setattr(kinds, "_KINDS", dict(kinds._KINDS))
    register("still", Kind(Still, describe, build, Sizes))


def test_another_kind_is_saved_and_comes_back(still, tiny_policy, tmp_path):
    policy = Still(tiny_policy.spec, Sizes(width=5))
    save_policy(tmp_path / "policy", policy, {})
    assert read_manifest(tmp_path / "policy")["policy"]["model"] == {"kind": "still", "width": 5, "channels": [2, 4]}
    back = load_policy(tmp_path / "policy")
    assert type(back) is Still
    assert back.config == Sizes(width=5, channels=(2, 4))
    assert torch.equal(back.answer, policy.answer)


def test_a_part_that_a_kind_misses_is_named(still, tiny_policy):
    blueprint = to_blueprint(Still(tiny_policy.spec, Sizes()))
    del blueprint["model"]["width"]
    with pytest.raises(BlueprintError, match=r"missing \['width'\]"):
        from_blueprint(blueprint)


def test_the_kinds_that_every_process_knows():
    assert {"token_vla", "flow_vla"} <= set(kinds.kind_names())


def test_a_flow_policy_is_saved_and_comes_back(tiny_policy, tmp_path):
    policy = FlowVla(tiny_policy.spec, FlowVlaConfig(), tiny_policy.tokenizer.vocabulary)
    save_policy(tmp_path / "policy", policy, {})
    back, deviation = load_checked(tmp_path / "policy")
    assert type(back) is FlowVla
    assert back.config == policy.config
    assert deviation.actions == 0.0


def test_names_and_classes_are_given_once(still):
    with pytest.raises(ValueError, match="'token_vla' of Still collides with 'token_vla' of TokenVla"):
        register("token_vla", Kind(Still, describe, build, Sizes))
    with pytest.raises(ValueError, match="'again' of TokenVla collides with 'token_vla'"):
        register("again", Kind(TokenVla, describe, build, Sizes))
