"""Checkpoints become revisions in phases; whatever is wrong with one, what serves goes on and memory is given back."""

import gc
import json
import shutil
import threading
import weakref
from types import SimpleNamespace

import numpy as np
import pytest
from policy_api.errors import ServerFault
from revision_policies import ask
from safetensors import safe_open
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import load_file, save_file

from policy_server.revisions import loading
from policy_server.revisions.errors import CheckpointRefused, MemoryFull, UnknownCheckpoint
from policy_server.revisions.folder import CheckpointFolder
from policy_server.revisions.loading import Loader
from policy_server.revisions.progress import Phase
from sim_train.checkpoint import load_policy, read_manifest
from sim_train.checkpoint.files import sha256_of
from sim_train.checkpoint.manifest import manifest_hash

PICKLE = b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00."


def revision_of(path):
    return read_manifest(path)["weights_sha256"]


def rehash(path, **changes):
    """A manifest that is consistent again, as one that someone had saved like this."""
    manifest = {**json.loads((path / "manifest.json").read_text()), **changes}
    for part in ("weights", "golden"):
        manifest[f"{part}_sha256"] = sha256_of(path / f"{part}.safetensors")
        manifest[f"{part}_bytes"] = (path / f"{part}.safetensors").stat().st_size
    manifest["manifest_sha256"] = manifest_hash(manifest)
    (path / "manifest.json").write_text(json.dumps(manifest))


def test_a_checkpoint_passes_all_phases_and_answers(loader, hub, operations, folder, spec):
    steps = []
    loader.load("one", "", steps.append)
    phases = [step.phase for step in steps]
    assert list(dict.fromkeys(phases)) == list(Phase)
    for phase in Phase:
        shares = [step.fraction for step in steps if step.phase is phase]
        assert shares == sorted(shares)
        assert 0 <= shares[0] <= shares[-1] <= 1
    assert {(step.spec, step.revision) for step in steps[1:]} == {(spec, revision_of(folder / "one"))}
    assert 0 <= steps[-1].golden_error < 0.01
    placement = hub.place("robot", "", "echo", "", False)
    expected = load_policy(folder / "one")
    answer = ask(hub, placement)
    images = {name: np.full((1, 64, 64, 3), 128, np.uint8) for name in ("front", "wrist")}
    actions = expected.act(images, np.zeros((1, 7), np.float32), ["push the red cube"]).actions[0]
    np.testing.assert_allclose(answer.actions, actions, atol=1e-6)
    assert operations.revisions("")[0].size_bytes == (folder / "one" / "weights.safetensors").stat().st_size


def test_a_second_one_waits_for_traffic_and_loading_it_again_is_quick(loader, operations, folder):
    loader.load("one", "", lambda step: None)
    loader.load("two", revision_of(folder / "two"), lambda step: None)
    assert [view.slot for view in operations.revisions("echo")] == ["stable", "idle"]
    steps = []
    loader.load("two", "", steps.append)
    assert {step.phase for step in steps} == {Phase.VERIFYING, Phase.ADMITTED}
    assert len(operations.revisions("")) == 2


def flip(path):
    content = bytearray((path / "weights.safetensors").read_bytes())
    content[-1] ^= 1
    (path / "weights.safetensors").write_bytes(content)


def cut(path):
    (path / "weights.safetensors").write_bytes((path / "weights.safetensors").read_bytes()[:1000])


def oversize(path):
    with (path / "weights.safetensors").open("r+b") as file:
        file.truncate(2_000_000)


def other_weights(path):
    tensors = load_file(path / "weights.safetensors")
    tensors["head.mix.weight"] = -tensors["head.mix.weight"] * 9
    tensors["placeholders"] = tensors["placeholders"].roll(1, 0) * 9
    save_file(tensors, path / "weights.safetensors")
    rehash(path)


def other_contract(path):
    policy = json.loads((path / "manifest.json").read_text())["policy"]
    policy["spec"]["cameras"][0]["jpeg_quality"] = 70
    rehash(path, policy=policy)


def huge_network(path):
    policy = json.loads((path / "manifest.json").read_text())["policy"]
    policy["model"]["d_model"] = 40_000
    rehash(path, policy=policy)


def weights_elsewhere(path):
    policy = json.loads((path / "manifest.json").read_text())["policy"]
    policy["model"]["vision"] = [{"model_type": "dinov2", "weights": "/data/models/dino"}]
    rehash(path, policy=policy)


def many_questions(path):
    with safe_open(path / "golden.safetensors", framework="np") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    metadata = {"instructions": json.dumps(["push the red cube"] * 65)}
    save_arrays(tensors, path / "golden.safetensors", metadata=metadata)
    rehash(path)


def deep_json(path):
    (path / "manifest.json").write_text("[" * 200_000)


def no_contract(path):
    rehash(path, policy={})


REFUSALS = [
    (flip, CheckpointRefused, r"refused while verifying: two/weights.safetensors has SHA-256 .* damaged"),
    (cut, CheckpointRefused, r"truncated: 1000 of"),
    (oversize, CheckpointRefused, r"'two' is larger than 1.0 MB, which is the most"),
    (lambda path: (path / "model.pkl").write_bytes(b""), CheckpointRefused, r"model.pkl is pickled and could run code"),
    (
        lambda path: (path / "weights.safetensors").write_bytes(PICKLE),
        CheckpointRefused,
        r"weights.safetensors is pickled",
    ),
    (lambda path: (path / "thesis.txt").write_text("x"), CheckpointRefused, r"thesis.txt does not belong"),
    (lambda path: (path / "golden.safetensors").unlink(), CheckpointRefused, r"has no golden.safetensors"),
    (shutil.rmtree, UnknownCheckpoint, r"'two' is not in the server's folder"),
    (deep_json, ServerFault, r"RecursionError while verifying; the server's log holds the cause"),
    (huge_network, CheckpointRefused, r"the network that its manifest describes takes more than 6\d.\d MB"),
    (weights_elsewhere, CheckpointRefused, r"names weights outside of the checkpoint, '/data/models/dino'"),
    (many_questions, CheckpointRefused, r"two/golden.safetensors asks 65 times, at most 64"),
    (no_contract, CheckpointRefused, r"holds no contract \('spec'\)"),
    (other_contract, CheckpointRefused, r"differs from .* model 'echo' at cameras\[0\].jpeg_quality: 90 against 70"),
    (
        other_weights,
        CheckpointRefused,
        r"refused while loading: the policy does not answer the observations in two/gol",
    ),
]


@pytest.mark.parametrize(("spoil", "error", "says"), REFUSALS, ids=lambda value: getattr(value, "__name__", None))
def test_what_is_wrong_is_named_and_what_serves_goes_on(loader, hub, operations, catalog, folder, spoil, error, says):
    loader.load("one", "", lambda step: None)
    placement = hub.place("robot", "", "", "", False)
    used, before, traffic = catalog.store.used_bytes, ask(hub, placement).actions, operations.traffic("")
    spoil(folder / "two")
    with pytest.raises(error, match=says) as raised:
        loader.load("two", "", lambda step: None)
    assert str(folder) not in str(raised.value)  # nobody's business
    assert catalog.store.used_bytes == used
    assert operations.traffic("") == traffic
    np.testing.assert_array_equal(ask(hub, placement).actions, before)
    shutil.rmtree(folder / "two", ignore_errors=True)
    shutil.copytree(folder / "one", folder / "two")
    loader.load("two", "", lambda step: None)


def test_another_digest_than_the_one_asked_for_is_refused(loader, catalog, folder):
    one, two = revision_of(folder / "one"), revision_of(folder / "two")
    with pytest.raises(CheckpointRefused, match=f"one holds revision {one}, not '{two}'"):
        loader.load("one", two, lambda step: None)
    assert catalog.store.used_bytes == 0


def test_a_path_that_escapes_is_refused(loader, folder):
    (folder / "away").symlink_to(folder.parent)
    for name in ("../checkpoints/one", "away", "away/checkpoints/../../x", str(folder / "one")):
        with pytest.raises(CheckpointRefused, match=r"relative to|symbolic link out"):
            loader.load(name, "", lambda step: None)


def test_a_file_that_cannot_be_read_is_named_without_its_place(loader, folder, monkeypatch):
    def gone(*_):
        raise PermissionError(13, "Permission denied", str(folder / "one" / "weights.safetensors"))

    monkeypatch.setattr(loading, "build_policy", gone)
    with pytest.raises(CheckpointRefused, match=r"'one' cannot be read while loading: Permission denied$"):
        loader.load("one", "", lambda step: None)


def test_a_full_memory_is_refused_before_anything_is_loaded(folder, catalog, monkeypatch):
    catalog.store.max_bytes = 1000
    monkeypatch.setattr(loading, "build_policy", lambda *_: pytest.fail("built"))
    with pytest.raises(MemoryFull, match=r"but 0.0 MB of 0.0 MB are free"):
        Loader(CheckpointFolder(folder, 10**6), catalog).load("one", "", lambda step: None)


def answering_otherwise(policy):
    """When it is served, but not of the grey images of the warm-up."""
    act, mine = policy.act, threading.get_ident()

    def changed(images, *arguments, **given):
        found = act(images, *arguments, **given)
        is_served = threading.get_ident() != mine and bool((images["front"] != 128).any())
        return SimpleNamespace(actions=found.actions * 0.2) if is_served else found

    policy.act = changed
    return policy


def raising(policy):
    def broken(*arguments, **given):
        raise RuntimeError("CUDA error: /secret/place")

    policy.act = broken
    return policy


@pytest.mark.parametrize(
    ("spoil", "error", "says"),
    [
        (raising, ServerFault, "RuntimeError while loading; the server's log"),
        (
            answering_otherwise,
            CheckpointRefused,
            r"refused while golden: as it is served here, revision .* does not ans",
        ),
    ],
)
def test_a_policy_that_is_not_admitted_leaves_memory(loader, catalog, monkeypatch, spoil, error, says):
    built = []
    build = loading.build_policy

    def spoilt(path, manifest):
        policy = spoil(build(path, manifest))
        built.append(weakref.ref(policy))
        return policy

    monkeypatch.setattr(loading, "build_policy", spoilt)
    monkeypatch.setattr(loading.log, "exception", lambda *_: None)  # pytest would keep the frames
    with pytest.raises(error, match=says) as raised:
        loader.load("one", "", lambda step: None)
    assert "secret" not in str(raised.value)
    assert catalog.store.used_bytes == 0
    raised = None
    gc.collect()
    assert built[0]() is None


def test_files_that_change_under_the_load_are_refused(loader, catalog, folder, saved, monkeypatch):
    """As when a training run saves its next checkpoint to the same place."""
    build = loading.build_policy

    def replaced(path, manifest):
        shutil.rmtree(path)
        shutil.copytree(saved / "two", path)
        return build(path, manifest)

    monkeypatch.setattr(loading, "build_policy", replaced)
    with pytest.raises(CheckpointRefused, match="one was changed while it was loaded: load it again"):
        loader.load("one", "", lambda step: None)
    assert catalog.store.used_bytes == 0
