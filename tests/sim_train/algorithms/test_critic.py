"""The critic on the policy's trunk."""

import sys
from pathlib import Path

import pytest
import torch
from toy_env import TOY_SPEC

from sim_train.algorithms.critic import Critic, NoTrunkError, TrunkTap, action_head
from sim_train.checkpoint import load_policy, save_policy
from sim_train.policies.openvla.actions import Normaliser
from sim_train.policies.openvla.config import OpenVlaConfig
from sim_train.policies.openvla.policy import OpenVlaPolicy

sys.path.insert(0, str(Path(__file__).parents[1] / "policies" / "openvla"))

from made_openvla import NORM_STATS, SPEC, observed, randomised, word_tokenizer


def features(policy, tap, played):
    texts = [played.instructions[i] for i in played.trajectory]
    policy(policy.inputs(played.images, played.state, texts))
    return tap.take()


def test_it_reads_what_the_head_reads(tiny_policy, shown):
    tap = TrunkTap(tiny_policy.head)
    seen = features(tiny_policy, tap, shown)
    action_tokens = TOY_SPEC.horizon * len(TOY_SPEC.action)
    assert seen.shape == (len(shown.state), action_tokens, tiny_policy.config.d_model)
    with pytest.raises(RuntimeError, match="run the policy"):
        tap.take()
    tap.close()
    with pytest.raises(RuntimeError, match="run the policy"):
        features(tiny_policy, tap, shown)


def test_values_are_float32_where_the_trainer_computes_in_bfloat16():
    with torch.autocast("cpu", torch.bfloat16):
        assert Critic(8, 4, 0)(torch.randn(2, 3, 8)).dtype == torch.float32


def test_values_start_at_nothing_and_reach_the_trunk_once_they_do_not(tiny_policy, shown):
    head, width = action_head(tiny_policy)
    tap, critic = TrunkTap(head), Critic(width, hidden=8, seed=0)
    assert (critic(features(tiny_policy, tap, shown)) == 0).all()
    torch.nn.init.ones_(critic.layers[-1].weight)
    values = critic(features(tiny_policy, tap, shown))
    assert values.shape == (len(shown.state),) and values.dtype == torch.float32
    values.sum().backward()
    assert tiny_policy.language_model.layers[0].mlp.up_proj.weight.grad.abs().sum() > 0
    assert tiny_policy.head.mix.weight.grad is None


def test_its_seed_alone_decides_its_weights():
    state = torch.random.get_rng_state()
    first, second, other = (Critic(8, 4, seed).layers[1].weight for seed in (1, 1, 2))
    assert torch.equal(first, second) and not torch.equal(first, other)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_the_policy_does_not_know_of_it(tiny_policy, tmp_path):
    before = set(tiny_policy.state_dict())
    head, width = action_head(tiny_policy)
    TrunkTap(head)
    Critic(width, hidden=8, seed=0)
    assert set(tiny_policy.state_dict()) == before
    save_policy(tmp_path / "p", tiny_policy.eval(), {})
    assert set(load_policy(tmp_path / "p").state_dict()) == before


def test_it_reads_the_trunk_of_openvla():
    config = OpenVlaConfig.miniature(proprio_dim=7)
    parts = [Normaliser.from_statistics(NORM_STATS["toy"][part], "q01_q99") for part in ("action", "proprio")]
    policy = OpenVlaPolicy(SPEC, randomised(config), word_tokenizer(), *parts, text_tokens=20)
    head, width = action_head(policy)
    tap, critic = TrunkTap(head), Critic(width, hidden=8, seed=0)
    policy(policy.inputs(*observed(2)))
    torch.nn.init.ones_(critic.layers[-1].weight)
    values = critic(tap.take())
    assert values.shape == (2,) and values[0] != values[1]
    values.sum().backward()
    assert policy.network.projector.fc1.weight.grad.abs().sum() > 0


def test_a_policy_without_tokens_is_refused():
    with pytest.raises(NoTrunkError, match=r"Linear.*grpo"):
        action_head(torch.nn.Linear(2, 2))
