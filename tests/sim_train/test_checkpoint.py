"""Checkpoints: they come back as they were, and everything else is refused by name."""

import json

import numpy as np
import pytest
import torch

from sim_train.checkpoint import MANIFEST, WEIGHTS, CheckpointError, load_policy, read_manifest, save_policy
from sim_train.envs.specs import task_spec
from sim_train.policies.text import build_vocabulary
from sim_train.policies.token_vla import TokenVla, TokenVlaConfig


@pytest.fixture
def policy():
    torch.manual_seed(3)
    return TokenVla(task_spec("pick_cube"), TokenVlaConfig(d_model=32, mlp=32), build_vocabulary(["pick the red cube"]))


@pytest.fixture
def checkpoint(policy, tmp_path):
    path = tmp_path / "policy"
    save_policy(path, policy, {"success": 0.5})
    return path


def act(policy):
    rng = np.random.default_rng(0)
    images = {"front": rng.integers(0, 255, (2, 64, 64, 3), dtype=np.uint8)}
    return policy.act(images, rng.normal(size=(2, 7)).astype(np.float32), ["pick the red cube"] * 2)


def test_a_policy_comes_back_the_same(policy, checkpoint):
    back = load_policy(checkpoint)
    assert back.spec == policy.spec
    assert back.revision == policy.revision
    assert not back.training
    before, after = act(policy.eval()), act(back)
    np.testing.assert_array_equal(before.tokens, after.tokens)
    np.testing.assert_array_equal(before.log_probs, after.log_probs)
    assert read_manifest(checkpoint)["record"] == {"success": 0.5}


def test_masters_are_float32_so_that_a_small_update_survives(policy, checkpoint):
    with torch.no_grad():
        policy.placeholders += 1e-6
    changed = policy.placeholders.detach().clone()
    save_policy(checkpoint, policy, {})
    assert torch.equal(load_policy(checkpoint).placeholders, changed)


def test_saving_again_replaces_and_changes_the_revision(policy, checkpoint):
    first = policy.revision
    with torch.no_grad():
        policy.placeholders.zero_()
    assert save_policy(checkpoint, policy, {}) != first
    assert sorted(file.name for file in checkpoint.iterdir()) == [MANIFEST, WEIGHTS]
    assert [file.name for file in checkpoint.parent.iterdir()] == [checkpoint.name]


def damage_weights(path):
    data = bytearray((path / WEIGHTS).read_bytes())
    data[-1] ^= 1
    (path / WEIGHTS).write_bytes(data)


def truncate(path):
    (path / WEIGHTS).write_bytes((path / WEIGHTS).read_bytes()[:1000])


def change_manifest(**changes):
    def change(path):
        manifest = json.loads((path / MANIFEST).read_text())
        (path / MANIFEST).write_text(json.dumps({**manifest, **changes}))

    return change


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (damage_weights, "damaged"),
        (truncate, "damaged"),
        (lambda path: (path / WEIGHTS).unlink(), WEIGHTS),
        (lambda path: (path / MANIFEST).unlink(), MANIFEST),
        (lambda path: (path / MANIFEST).write_text("{"), "not JSON"),
        (lambda path: (path / "model.pkl").write_bytes(b"\x80\x04."), "model.pkl"),
        (change_manifest(schema_version=99), "schema_version 99"),
        (change_manifest(extra=1), "extra"),
        (change_manifest(policy={"model": {"kind": "mystery"}, "vocabulary": [], "spec": {}}), "mystery"),
    ],
)
def test_a_damaged_checkpoint_is_refused_by_name(checkpoint, damage, says):
    damage(checkpoint)
    with pytest.raises(CheckpointError, match=says):
        load_policy(checkpoint)


def test_weights_of_another_network_are_refused_by_the_tensors_name(policy, checkpoint, tmp_path):
    larger = TokenVla(policy.spec, TokenVlaConfig(d_model=64, mlp=32), policy.tokenizer.vocabulary)
    save_policy(tmp_path / "larger", larger, {})
    (checkpoint / WEIGHTS).write_bytes((tmp_path / "larger" / WEIGHTS).read_bytes())
    change_manifest(weights_sha256=larger.revision)(checkpoint)
    with pytest.raises(CheckpointError, match=r"tensor .* the network needs"):
        load_policy(checkpoint)


def test_a_pickled_file_or_a_missing_place_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="pickled"):
        load_policy(tmp_path / "policy.pt")
    with pytest.raises(CheckpointError, match="no directory"):
        load_policy(tmp_path / "nothing")


def test_a_directory_that_is_no_checkpoint_is_not_overwritten(policy, tmp_path):
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "thesis.txt").write_text("years of work")
    with pytest.raises(CheckpointError, match="no checkpoint"):
        save_policy(tmp_path / "precious", policy, {})
    assert (tmp_path / "precious" / "thesis.txt").exists()
