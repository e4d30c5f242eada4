"""A checkpoint is a directory: `manifest.json` and `weights.safetensors`. Loading never executes anything.

The manifest holds the contract, the network's sizes, its vocabulary, the SHA-256 of the weights and a record of how the
policy came to be (configuration, seeds, curves, success with intervals). Weights are float32: a policy that was trained
in bfloat16 and saved in it would lose most of what reinforcement learning changed.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from sim_train.policies.blueprint import BlueprintError, from_blueprint, to_blueprint
from sim_train.policies.token_vla import TokenVla

MANIFEST, WEIGHTS = "manifest.json", "weights.safetensors"
SCHEMA_VERSION = 1
_PICKLED = (".pt", ".pth", ".pkl", ".pickle", ".bin", ".ckpt", ".joblib")
_PARTS = frozenset({"schema_version", "policy", "weights_sha256", "record"})


class CheckpointError(ValueError):
    """A checkpoint that can't be used; the text names the file and what to do."""


def save_policy(path: Path, policy: TokenVla, record: dict[str, Any]) -> str:
    """Write a checkpoint to the directory `path` in one step, replacing an older checkpoint there.

    Returns the policy's revision (SHA-256 of the weights), which is also set on the policy.

    Args:
        path: directory of the checkpoint.
        policy: what to save.
        record: how it came to be; anything that JSON takes.

    Raises:
        CheckpointError: `path` exists and is no checkpoint.
    """
    if path.exists() and not (path / MANIFEST).is_file():
        raise CheckpointError(f"{path} exists and is no checkpoint; move it away or choose another directory")
    weights = save({name: value.detach().contiguous() for name, value in policy.state_dict().items()})
    revision = hashlib.sha256(weights).hexdigest()
    manifest = {
        "schema_version": SCHEMA_VERSION,
        "policy": to_blueprint(policy),
        "weights_sha256": revision,
        "record": record,
    }
    text = json.dumps(manifest, indent=2, allow_nan=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        _write(fresh / WEIGHTS, weights)
        _write(fresh / MANIFEST, text.encode())
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
    policy.revision = revision
    return revision


def read_manifest(path: Path) -> dict[str, Any]:
    """The manifest of the checkpoint in directory `path`; CheckpointError if it is none of ours."""
    if not path.is_dir():
        kind = "a pickled file, which could run code when loaded" if path.suffix in _PICKLED else "no directory"
        raise CheckpointError(f"{path} is {kind}; expected a directory with {MANIFEST} and {WEIGHTS}")
    for file in path.iterdir():
        if file.suffix in _PICKLED:
            raise CheckpointError(f"{file} looks pickled; a checkpoint holds {MANIFEST} and {WEIGHTS} only: remove it")
    for name in (MANIFEST, WEIGHTS):
        if not (path / name).is_file():
            raise CheckpointError(f"{path} has no {name}; it is no checkpoint or its copy was cut short")
    try:
        manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path / MANIFEST} is not JSON ({error}); copy the checkpoint again") from error
    if not isinstance(manifest, dict) or manifest.get("schema_version") != SCHEMA_VERSION:
        version = manifest.get("schema_version") if isinstance(manifest, dict) else None
        raise CheckpointError(
            f"{path / MANIFEST} has schema_version {version!r}; this version reads {SCHEMA_VERSION}: "
            "save the policy again with this version"
        )
    if manifest.keys() != _PARTS:
        raise CheckpointError(f"{path / MANIFEST} has the parts {sorted(manifest)}; expected {sorted(_PARTS)}")
    return manifest


def load_policy(path: Path) -> TokenVla:
    """The policy in directory `path`, ready to act, its `revision` set.

    Raises:
        CheckpointError: missing, truncated, altered, pickled, or made for another version.
    """
    path = Path(path)
    manifest = read_manifest(path)
    weights = (path / WEIGHTS).read_bytes()
    digest = hashlib.sha256(weights).hexdigest()
    if digest != manifest["weights_sha256"]:
        raise CheckpointError(
            f"{path / WEIGHTS} has SHA-256 {digest[:12]}..., the manifest says "
            f"{str(manifest['weights_sha256'])[:12]}...: it is damaged or of another policy; copy the checkpoint again"
        )
    try:
        policy = from_blueprint(manifest["policy"])
        tensors = load(weights)
    except (BlueprintError, SafetensorError) as error:
        raise CheckpointError(f"{path}: {error}") from error
    _fill(path, policy, tensors)
    policy.revision = digest
    return policy.eval()


def _fill(path: Path, policy: TokenVla, tensors: dict[str, torch.Tensor]) -> None:
    expected = policy.state_dict()
    if tensors.keys() != expected.keys():
        odd = sorted(tensors.keys() ^ expected.keys())[0]
        raise CheckpointError(f"{path / WEIGHTS}: tensor {odd!r} is missing or unknown to this network")
    for name, tensor in tensors.items():
        wanted = expected[name]
        if tensor.shape != wanted.shape or tensor.dtype != wanted.dtype:
            raise CheckpointError(
                f"{path / WEIGHTS}: tensor {name!r} is {tensor.dtype} {tuple(tensor.shape)}; "
                f"the network needs {wanted.dtype} {tuple(wanted.shape)}"
            )
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise CheckpointError(f"{path / WEIGHTS}: tensor {name!r} has values that are not finite")
    policy.load_state_dict(tensors)


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
