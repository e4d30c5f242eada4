"""Adapters, precision, activation checkpoints and shards of work: what they must not change, and what they must."""

import copy

import numpy as np
import pytest
import torch
from made_backbones import made, seen

from sim_train.algorithms.parallel import GradientThreads
from sim_train.checkpoint import load_policy, save_policy
from sim_train.policies.backbone_vla.policy import BackboneVla
from sim_train.policies.imitation import SftLossConfig
from sim_train.scale.config import LoraConfig, ScaleConfig
from sim_train.scale.lora import AdapterError
from sim_train.scale.trainee import Trainee, UnfitPolicyError

CPU = {"device": "cpu"}
LORA = LoraConfig(rank=3, alpha=6)


def gradient(trainee, micro_batch=0, bf16_on="", rows=6):
    policy, inputs = trainee.policy, trainee.policy.inputs(*seen(rows))
    actions = torch.linspace(-0.04, 0.04, rows)[:, None, None].expand(rows, 2, 4)
    weights = torch.full((rows, 2, 4), 1 / (8 * rows))
    with GradientThreads(1, micro_batch, bf16_on) as threads:
        threads.gradient(
            lambda part: policy.imitation_loss(
                inputs[part], actions[part], weights[part], torch.zeros(len(part), 3), SftLossConfig(), torch.empty(0)
            ),
            trainee.parameters,
            rows,
        )
    return {name: p.grad for name, p in trainee.module.named_parameters() if p.grad is not None}


def learn(trainee, steps=3, rate=1e-2, **settings):
    optimizer = torch.optim.AdamW(trainee.parameters, lr=rate, weight_decay=0.0)
    for _ in range(steps):
        gradient(trainee, **settings)
        optimizer.step()


def test_by_default_the_learner_is_the_policy_itself(tiny_policy):
    trainee = Trainee(tiny_policy, ScaleConfig(**CPU))
    assert trainee.policy is tiny_policy is trainee.plain()
    assert trainee.arrays().keys() == {f"policy.{name}" for name in tiny_policy.state_dict()}


def test_adapters_and_new_parts_train_and_nothing_else():
    policy = made()
    before = copy.deepcopy(policy.state_dict())
    trainee = Trainee(policy, ScaleConfig(lora=LORA, **CPU))
    frozen = {n: p.detach().clone() for n, p in trainee.module.named_parameters() if not p.requires_grad}
    learn(trainee)
    for name, parameter in trainee.module.named_parameters():
        part = name.split(".")[0] in ("projector", "proprio", "placeholders")
        assert parameter.requires_grad == (part or ".lora_" in name)
        if name in frozen:
            assert torch.equal(parameter, frozen[name])
    adapted = {n.split(".lora_")[0] for n in trainee.arrays() if ".lora_" in n}
    assert len(adapted) == 2 * 7 + 2 * 6  # every linear layer of both backbones
    after = trainee.plain().state_dict()
    assert after.keys() == before.keys()
    same = {name for name in after if torch.equal(after[name], before[name])}
    assert "language.model.embed_tokens.weight" in same and "language.lm_head.weight" in same
    assert not {name for name in same if "_proj.weight" in name or name.startswith("projector")}


def test_merged_weights_answer_as_the_adapted_ones():
    trainee = Trainee(made(), ScaleConfig(lora=LORA, **CPU))
    untouched = copy.deepcopy(trainee.plain())
    learn(trainee, rate=3e-2)
    plain, inputs = trainee.plain(), trainee.policy.inputs(*seen(4))
    with torch.no_grad():
        adapted = trainee.policy(inputs)
        torch.testing.assert_close(plain(inputs), adapted, atol=1e-5, rtol=0)
        assert (untouched(inputs) - adapted).abs().max() > 0.1


def test_a_checkpoint_of_adapters_needs_no_peft(tmp_path):
    trainee = Trainee(made(), ScaleConfig(lora=LORA, **CPU))
    learn(trainee)
    save_policy(tmp_path / "policy", trainee.plain(), {})
    loaded = load_policy(tmp_path / "policy")
    assert type(loaded) is BackboneVla
    assert not any("peft" in type(part).__module__ for part in loaded.modules())
    with torch.no_grad():
        inputs = loaded.inputs(*seen(4))
        torch.testing.assert_close(loaded(inputs), trainee.policy(inputs), atol=1e-5, rtol=0)


def test_a_state_to_resume_from_has_adapters_and_not_the_frozen_weights():
    trainee, other = (Trainee(made(), ScaleConfig(lora=LORA, **CPU)) for _ in range(2))
    learn(trainee)
    arrays = trainee.arrays("best.")
    assert all(".lora_" in n or ".proj" in n or "proprio" in n or "place" in n or "state_" in n for n in arrays)
    other.restore({**arrays, "optimizer.0.step": np.zeros(1)}, "best.")
    with torch.no_grad():
        inputs = trainee.policy.inputs(*seen(2))
        assert torch.equal(other.policy(inputs), trainee.policy(inputs))
    with pytest.raises(ValueError, match="does not fit the policy"):
        Trainee(made(), ScaleConfig(**CPU)).restore(arrays, "best.")


def test_adapters_only_where_they_are_asked_for():
    trainee = Trainee(made(), ScaleConfig(lora=LoraConfig(rank=2, targets=["q_proj", "v_proj"]), **CPU))
    assert {n.split(".lora_")[0].rsplit(".", 1)[-1] for n in trainee.arrays() if ".lora_" in n} <= {"q_proj", "v_proj"}
    with pytest.raises(AdapterError, match=r"no linear layer 'wq'; there are .*'q_proj'"):
        Trainee(made(), ScaleConfig(lora=LoraConfig(rank=2, targets=["wq"]), **CPU))
    with pytest.raises(AdapterError, match="repeats no layers"):
        Trainee(torch.nn.Linear(2, 2), ScaleConfig(lora=LORA, **CPU))


@pytest.mark.parametrize("lora", [LoraConfig(), LORA])
@pytest.mark.parametrize(
    "settings", [{"checkpointing": True}, {"micro_batch": 4}, {"checkpointing": True, "micro_batch": 1}]
)
def test_less_memory_and_the_same_gradient(settings, lora):
    plain = Trainee(made().train(), ScaleConfig(lora=lora, **CPU))
    saving = Trainee(made().train(), ScaleConfig(lora=lora, checkpointing="checkpointing" in settings, **CPU))
    for trainee in (plain, saving):
        learn(trainee, steps=1)
    expected, found = gradient(plain), gradient(saving, settings.get("micro_batch", 0))
    assert expected.keys() == found.keys()
    scale = max(float(value.abs().max()) for value in expected.values())
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, atol=1e-5 * scale, rtol=0)


def test_activation_checkpoints_really_keep_less():
    kept = {}
    for checkpointing in (False, True):
        policy = Trainee(made().train(), ScaleConfig(checkpointing=checkpointing, **CPU)).policy
        sizes = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t, s=sizes: (s.append(t.numel()), t)[1], lambda t: t):
            policy(policy.inputs(*seen(16)))
        kept[checkpointing] = sum(sizes)
    assert kept[True] < 0.5 * kept[False]


@pytest.mark.slow
def test_compiled_layers_compute_the_same_gradient():
    expected = gradient(Trainee(made().train(), ScaleConfig(**CPU)))
    found = gradient(Trainee(made().train(), ScaleConfig(compile=True, **CPU)))
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, atol=1e-5, rtol=0)


def test_policies_without_backbones_have_no_activations_to_checkpoint():
    with pytest.raises(UnfitPolicyError, match="checkpointing=false"):
        Trainee(torch.nn.Linear(2, 2), ScaleConfig(checkpointing=True, **CPU))


def test_bf16_computes_in_bf16_and_learns_in_float32():
    trainee = Trainee(made(), ScaleConfig(bf16=True, **CPU))
    seen_types = set()
    hook = lambda module, args, out: seen_types.add(out.dtype)  # noqa: E731
    trainee.module.language.model.layers[0].mlp.register_forward_hook(hook)
    exact, rough = gradient(Trainee(made(), ScaleConfig(**CPU))), gradient(trainee, bf16_on="cpu")
    assert seen_types == {torch.bfloat16}
    assert {value.dtype for value in rough.values()} == {torch.float32} == {p.dtype for p in trainee.parameters}
    flat = [torch.cat([g.flatten() for g in grads.values()]) for grads in (exact, rough)]
    assert torch.nn.functional.cosine_similarity(*flat, dim=0) > 0.99
    assert not torch.equal(*flat)


def test_an_update_of_reinforcement_survives_saving_and_would_not_in_bf16(tmp_path):
    """Weights of some 0.02 that AdamW moves by 5e-6: bfloat16 knows steps of 1e-4 there."""
    policy = made()
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.copy_(0.02 * torch.randn_like(parameter))
    before = copy.deepcopy(policy.state_dict())
    trainee = Trainee(policy, ScaleConfig(bf16=True, **CPU))
    learn(trainee, steps=1, rate=5e-6, bf16_on="cpu")
    changed = {name: policy.state_dict()[name] != before[name] for name, _ in policy.named_parameters()}
    assert sum(int(c.sum()) for c in changed.values()) > 5000
    save_policy(tmp_path / "policy", trainee.plain(), {})
    after = load_policy(tmp_path / "policy").state_dict()
    exact = torch.cat([(after[name] != before[name])[c] for name, c in changed.items()])
    rounded = torch.cat([(after[name].bfloat16() != before[name].bfloat16())[c] for name, c in changed.items()])
    assert exact.all()
    assert rounded.float().mean() < 0.2


def test_settings_that_make_no_sense():
    bad = ScaleConfig(device="tpu", micro_batch=-1, lora=LoraConfig(rank=-1))
    said = [text for fine, text in bad.checks() if not fine]
    assert len(said) == 3 and "tpu" in said[0]
    assert all(fine for fine, _ in ScaleConfig().checks())
