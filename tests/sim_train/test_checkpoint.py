"""Checkpoints come back as they were, with float32 masters, in one step."""

import json

import numpy as np
import pytest
import torch
from toy_env import PHRASES

from sim_train.checkpoint import (
    GOLDEN,
    MANIFEST,
    WEIGHTS,
    CheckpointError,
    clear_leftovers,
    load_checked,
    load_policy,
    read_manifest,
    save_policy,
    store,
)

RECORD = {"config": {"seed": 4}, "validation": {"greedy": {"success": 0.5, "success_ci95": [0.4, 0.6]}}}


@pytest.fixture
def checkpoint(tiny_policy, tmp_path):
    path = tmp_path / "policy"
    save_policy(path, tiny_policy, RECORD)
    return path


def act(policy):
    rng = np.random.default_rng(0)
    shapes = {c.name: (2, c.input_size, c.input_size, 3) for c in policy.spec.cameras}
    images = {name: rng.integers(0, 255, shape, dtype=np.uint8) for name, shape in shapes.items()}
    return policy.act(images, rng.normal(size=(2, len(policy.spec.state))).astype(np.float32), [PHRASES[0]] * 2)


def test_a_policy_comes_back_the_same(tiny_policy, checkpoint):
    back, deviation = load_checked(checkpoint)
    assert type(back) is type(tiny_policy)
    assert back.spec == tiny_policy.spec
    assert back.revision == tiny_policy.revision
    assert not back.training
    before, after = act(tiny_policy.eval()), act(back)
    np.testing.assert_array_equal(before.actions, after.actions)
    np.testing.assert_array_equal(before.log_probs, after.log_probs)
    assert (deviation.actions, deviation.log_probs) == (0.0, 0.0)


def test_the_manifest_says_how_the_policy_came_to_be(tiny_policy, checkpoint):
    manifest = read_manifest(checkpoint)
    assert manifest["record"] == RECORD
    assert manifest["weights_sha256"] == tiny_policy.revision
    assert manifest["policy"]["spec"] == json.loads(tiny_policy.spec.to_json())
    assert manifest["policy"]["model"]["kind"] == "token_vla"
    assert manifest["made_with"]["packages"]["torch"] == torch.__version__
    assert manifest["made_with"]["saved_at"].endswith("+00:00")


def test_saving_leaves_the_policy_learning_and_draws_nothing(tiny_policy, tmp_path):
    tiny_policy.train()
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    save_policy(tmp_path / "policy", tiny_policy, {})
    assert tiny_policy.training
    assert torch.equal(torch.rand(3), expected)


def test_bfloat16_would_lose_a_small_update_that_float32_masters_keep(tiny_policy, checkpoint):
    before = {name: value.detach().clone() for name, value in tiny_policy.named_parameters()}
    optimizer = torch.optim.AdamW(tiny_policy.parameters(), lr=5e-6)
    generator = torch.Generator().manual_seed(0)
    for parameter in tiny_policy.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator)
    optimizer.step()
    save_policy(checkpoint, tiny_policy, {})
    after = dict(load_policy(checkpoint).named_parameters())

    count = {"float32": 0, "bfloat16": 0, "changed": 0}
    for name, parameter in tiny_policy.named_parameters():
        assert torch.equal(after[name], parameter)
        count["changed"] += int((parameter != before[name]).sum())
        count["float32"] += int((after[name] != before[name]).sum())
        count["bfloat16"] += int((parameter.bfloat16() != before[name].bfloat16()).sum())
    assert count["float32"] == count["changed"] > 1000
    assert count["bfloat16"] < 0.2 * count["changed"]


def test_a_policy_without_float32_masters_is_not_saved(tiny_policy, tmp_path):
    with pytest.raises(CheckpointError, match=r"tensor 'placeholders' is torch.bfloat16.*float32 masters"):
        save_policy(tmp_path / "policy", tiny_policy.bfloat16(), {})
    assert not list(tmp_path.iterdir())


def test_a_broken_policy_is_not_saved(tiny_policy, tmp_path):
    with torch.no_grad():
        tiny_policy.placeholders[0, 0] = torch.nan
    with pytest.raises(CheckpointError, match=r"'placeholders' has values that are not finite"):
        save_policy(tmp_path / "policy", tiny_policy, {})
    assert not list(tmp_path.iterdir())


def test_a_policy_of_no_kind_is_not_saved(tmp_path):
    with pytest.raises(ValueError, match=r"Linear is of no registered kind; known are .*token_vla"):
        save_policy(tmp_path / "policy", torch.nn.Linear(1, 1), {})


def test_saving_again_replaces_and_changes_the_revision(tiny_policy, checkpoint):
    first = tiny_policy.revision
    with torch.no_grad():
        tiny_policy.placeholders.zero_()
    assert save_policy(checkpoint, tiny_policy, {}) != first
    assert sorted(file.name for file in checkpoint.iterdir()) == sorted([MANIFEST, WEIGHTS, GOLDEN])
    assert [file.name for file in checkpoint.parent.iterdir()] == [checkpoint.name]


def test_when_saving_fails_the_old_checkpoint_stays_as_it_was(tiny_policy, checkpoint, monkeypatch):
    before = {file.name: file.read_bytes() for file in checkpoint.iterdir()}
    with torch.no_grad():
        tiny_policy.placeholders.zero_()
    with pytest.raises(ValueError, match="JSON"):
        save_policy(checkpoint, tiny_policy, {"loss": float("nan")})

    def full(*_):
        raise OSError("no space left")

    monkeypatch.setattr(store, "write_golden", full)
    with pytest.raises(OSError, match="no space"):
        save_policy(checkpoint, tiny_policy, {})
    assert {file.name: file.read_bytes() for file in checkpoint.iterdir()} == before
    assert [file.name for file in checkpoint.parent.iterdir()] == [checkpoint.name]


def test_a_directory_that_is_no_checkpoint_is_not_overwritten(tiny_policy, checkpoint, tmp_path):
    (tmp_path / "precious").mkdir()
    for place in (tmp_path / "precious", checkpoint):
        (place / "thesis.txt").write_text("years of work")
        with pytest.raises(CheckpointError, match=r"'thesis.txt' and so is no checkpoint"):
            save_policy(place, tiny_policy, {})
        assert (place / "thesis.txt").exists()
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match=r"empty exists and is no checkpoint"):
        save_policy(tmp_path / "empty", tiny_policy, {})


def test_what_a_kill_left_of_a_checkpoint_can_be_cleared(checkpoint):
    half, old, other = (checkpoint.parent / name for name in (".policy.x1", ".policy.old.x2", ".policy2.x3"))
    for left in (half, old, other):
        left.mkdir()
        (left / WEIGHTS).write_bytes(b"half")
    clear_leftovers(checkpoint)
    assert not half.exists()
    assert old.exists() and other.exists()
    load_policy(checkpoint)
