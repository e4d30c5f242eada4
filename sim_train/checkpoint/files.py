"""The files of a checkpoint: which there must be, which there must not be, and putting them in place in one step."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

MANIFEST, WEIGHTS, GOLDEN = "manifest.json", "weights.safetensors", "golden.safetensors"
FILES = (MANIFEST, WEIGHTS, GOLDEN)
_PICKLED = (".pt", ".pth", ".pkl", ".pickle", ".bin", ".ckpt", ".joblib")
_ZIP = b"PK\x03\x04"  # torch.save writes a zip archive with a pickle inside


class CheckpointError(ValueError):
    """A checkpoint that can't be used; the text names the file and what to do."""


def looks_pickled(path: Path) -> bool:
    """Whether name or content is that of a file which could run code when loaded."""
    if path.suffix in _PICKLED:
        return True
    if not path.is_file():
        return False
    with path.open("rb") as file:
        head = file.read(9)
    # safetensors begins with eight bytes of length, which may look like a pickle's first two, and then a brace
    pickle = head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05") and head[8:9] != b"{"
    return pickle or head.startswith(_ZIP)


def check_files(path: Path) -> None:
    """CheckpointError unless `path` is a directory with a manifest and nothing that does not belong there.

    Whether the other files are there is for later: an older version of checkpoints had fewer.
    """
    if not path.is_dir():
        kind = "a pickled file, which could run code when loaded" if looks_pickled(path) else "no directory"
        raise CheckpointError(f"{path} is {kind}; expected a directory with {', '.join(FILES)}")
    for file in sorted(path.iterdir()):
        if looks_pickled(file):
            raise CheckpointError(
                f"{file} is pickled and could run code when loaded: remove it; a checkpoint has only {', '.join(FILES)}"
            )
        if file.name not in FILES:
            raise CheckpointError(
                f"{file} does not belong to a checkpoint: remove it; expected only {', '.join(FILES)}"
            )
    require(path, MANIFEST)


def require(path: Path, name: str) -> None:
    """CheckpointError if the checkpoint lacks the file."""
    if not (path / name).is_file():
        raise CheckpointError(f"{path} has no {name}; it is no checkpoint, or its copy was cut short: copy it again")


def sha256_of(path: Path, on_bytes: Callable[[int], None] = lambda count: None) -> str:
    """SHA-256 of a file's content, 64 hexadecimal digits. `on_bytes` is told how many more were read."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
            on_bytes(len(block))
    return digest.hexdigest()


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """A fresh directory to write into; when the block ends well, it stands at `path` instead of an older checkpoint.

    Raises:
        CheckpointError: `path` exists and is no checkpoint.
    """
    if path.exists():
        strangers = [] if not path.is_dir() else sorted(f.name for f in path.iterdir() if f.name not in FILES)
        if strangers or not (path / MANIFEST).is_file():
            what = f"holds {strangers[0]!r} and so" if strangers else "exists and"
            raise CheckpointError(f"{path} {what} is no checkpoint; move it away or choose another directory")
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        yield fresh
        for file in fresh.iterdir():
            _to_disk(file)
        fresh.chmod(0o755)
        if path.exists():
            old = Path(tempfile.mkdtemp(prefix=f".{path.name}.old.", dir=path.parent))
            path.rename(old / path.name)
            fresh.rename(path)
            shutil.rmtree(old)
        else:
            fresh.rename(path)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def clear_leftovers(path: Path) -> None:
    """Remove what a process that was killed left of the checkpoint it was writing to `path`; none may be at it now."""
    for fresh in path.parent.glob(f".{path.name}.*"):
        if not fresh.name.startswith(f".{path.name}.old."):  # which may hold the only copy
            shutil.rmtree(fresh)


def _to_disk(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
