"""Nothing outside the folder of checkpoints is ever opened, and nothing too large is read."""

import os

import pytest

from policy_server.revisions.errors import CheckpointRefused, UnknownCheckpoint
from policy_server.revisions.folder import CheckpointFolder, fingerprint


@pytest.fixture
def root(tmp_path):
    """root/runs/a with two files of 100 bytes; outside/b beside it."""
    for place in ("root/runs/a", "outside/b"):
        (tmp_path / place).mkdir(parents=True)
        for name in ("manifest.json", "weights.safetensors"):
            (tmp_path / place / name).write_bytes(bytes(100))
    return tmp_path / "root"


def test_a_checkpoint_is_found_by_its_relative_path(root):
    assert CheckpointFolder(root, 200).find("runs/a") == root / "runs" / "a"
    assert CheckpointFolder(root, 200).find("./runs//a/") == root / "runs" / "a"


def test_links_inside_are_followed(root):
    (root / "latest").symlink_to("runs/a")
    assert CheckpointFolder(root, 200).find("latest") == root / "runs" / "a"
    (root.parent / "link").symlink_to(root)
    assert CheckpointFolder(root.parent / "link", 200).find("runs/a") == root / "runs" / "a"


@pytest.mark.parametrize(
    "name", ["", ".", "/", "/etc", "..", "../outside/b", "runs/../../outside/b", "runs/..", "a\0b", "a\nb", "\x1b[2J"]
)
def test_names_that_are_no_relative_path_are_refused(root, name):
    with pytest.raises(CheckpointRefused, match=r"is no name of a checkpoint; give its path relative"):
        CheckpointFolder(root, 200).find(name)


@pytest.mark.parametrize("target", ["../outside/b", "/etc", ".."])
def test_links_that_leave_are_refused(root, target):
    (root / "away").symlink_to(target)
    with pytest.raises(CheckpointRefused, match="'away' is a symbolic link out of the server's folder"):
        CheckpointFolder(root, 10**9).find("away")


def test_files_that_leave_are_refused(root):
    weights = root / "runs" / "a" / "weights.safetensors"
    weights.unlink()
    weights.symlink_to(root.parent / "outside" / "b" / "weights.safetensors")
    with pytest.raises(CheckpointRefused, match=r"'runs/a/weights.safetensors' is a symbolic link out"):
        CheckpointFolder(root, 200).find("runs/a")


@pytest.mark.parametrize("name", ["nothing", "runs/b", "runs/a/manifest.json/x"])
def test_what_is_not_there_is_not_found(root, name):
    with pytest.raises((UnknownCheckpoint, CheckpointRefused), match=r"is not in the server's folder|cannot be opened"):
        CheckpointFolder(root, 200).find(name)


def test_what_cannot_be_opened_is_refused(root):
    (root / "loop").symlink_to("loop")
    for name in ("loop", "x" * 5000):
        with pytest.raises(CheckpointRefused, match="cannot be opened") as error:
            CheckpointFolder(root, 200).find(name)
        assert len(str(error.value)) < 400
    with pytest.raises(CheckpointRefused, match="is no directory"):
        CheckpointFolder(root, 200).find("runs/a/manifest.json")


def test_a_pipe_is_refused_and_not_read(root):
    os.mkfifo(root / "runs" / "a" / "golden.safetensors")
    with pytest.raises(CheckpointRefused, match=r"runs/a/golden.safetensors is no plain file"):
        CheckpointFolder(root, 10**6).find("runs/a")


def test_size_is_limited(root, monkeypatch):
    with pytest.raises(CheckpointRefused, match=r"'runs/a' is larger than 0.0 MB, .* start it with a higher limit"):
        CheckpointFolder(root, 199).find("runs/a")
    monkeypatch.setattr("policy_server.revisions.folder.MAX_MANIFEST_BYTES", 99)
    with pytest.raises(CheckpointRefused, match=r"manifest.json has .* at most"):
        CheckpointFolder(root, 200).find("runs/a")


def test_the_folder_must_be_there(root):
    with pytest.raises(NotADirectoryError, match="name the folder that holds the checkpoints"):
        CheckpointFolder(root / "missing", 1)


def test_a_fingerprint_tells_changes(root):
    place = root / "runs" / "a"
    before = fingerprint(place)
    assert fingerprint(place) == before
    (place / "manifest.json").write_bytes(bytes(101))
    assert fingerprint(place) != before
    before = fingerprint(place)
    place.rename(root / "old")
    place.mkdir()
    for file in (root / "old").iterdir():  # the same content once more
        (place / file.name).write_bytes(file.read_bytes())
    assert fingerprint(place) != before
