"""`manifest.json`: what it holds, and the checks that need nothing but it and the other files' sizes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from policy_api.errors import InvalidSpec
from policy_api.schema import PolicySpec

from sim_train.checkpoint.files import GOLDEN, MANIFEST, WEIGHTS, CheckpointError, check_files, require, sha256_of

SCHEMA_VERSION = 2
_HASHED = {WEIGHTS: "weights", GOLDEN: "golden"}
_PARTS: dict[str, type] = {
    "schema_version": int,
    "manifest_sha256": str,
    "policy": dict,
    "made_with": dict,
    "record": dict,
    "weights_sha256": str,
    "weights_bytes": int,
    "golden_sha256": str,
    "golden_bytes": int,
}


def write_manifest(path: Path, policy: dict[str, Any], record: dict[str, Any], made_with: dict[str, Any]) -> str:
    """Write the manifest beside the other files of the directory `path`; returns the SHA-256 of the weights.

    Args:
        path: directory that already holds weights and golden answers.
        policy: blueprint of the policy.
        record: how the policy came to be, from whoever trained it.
        made_with: code and packages that made it.

    Raises:
        ValueError: a value that JSON has no word for, such as NaN.
    """
    manifest: dict[str, Any] = {"schema_version": SCHEMA_VERSION, "policy": policy}
    for name, part in _HASHED.items():
        manifest[f"{part}_sha256"] = sha256_of(path / name)
        manifest[f"{part}_bytes"] = (path / name).stat().st_size
    manifest |= {"made_with": made_with, "record": record}
    manifest["manifest_sha256"] = manifest_hash(manifest)
    (path / MANIFEST).write_text(json.dumps(manifest, indent=2, allow_nan=False), encoding="utf-8")
    return str(manifest["weights_sha256"])


def manifest_hash(manifest: dict[str, Any]) -> str:
    """SHA-256 of the manifest without its own hash; layout and order of keys do not matter."""
    rest = {name: part for name, part in manifest.items() if name != "manifest_sha256"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def read_manifest(path: Path) -> dict[str, Any]:
    """The manifest of the checkpoint in directory `path`, without hashing the other files.

    Raises:
        CheckpointError: no checkpoint, a pickled, missing, foreign or truncated file, another version, or an edited
            manifest.
    """
    check_files(path)
    file = path / MANIFEST
    try:
        manifest = json.loads(file.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{file} is not JSON ({error}): copy the checkpoint again") from error
    version = manifest.get("schema_version") if isinstance(manifest, dict) else None
    if version != SCHEMA_VERSION:
        raise CheckpointError(
            f"{file} has schema_version {version!r}; this version reads {SCHEMA_VERSION}. {_advice(version)}"
        )
    if manifest.keys() != _PARTS.keys():
        raise CheckpointError(f"{file} has the parts {sorted(manifest)}; expected {sorted(_PARTS)}")
    if manifest_hash(manifest) != manifest["manifest_sha256"]:
        raise CheckpointError(
            f"{file} was edited after it was written: its content does not have the SHA-256 that it names. Copy the "
            "checkpoint again; to change what it says, save the policy again with another record"
        )
    for name, kind in _PARTS.items():
        if not isinstance(manifest[name], kind):
            raise CheckpointError(f"{file}: {name} is {type(manifest[name]).__name__}; it must be {kind.__name__}")
    for name, part in _HASHED.items():
        require(path, name)
        size, wanted = (path / name).stat().st_size, manifest[f"{part}_bytes"]
        if size < wanted:
            raise CheckpointError(f"{path / name} is truncated: {size} of {wanted} bytes; copy the checkpoint again")
    return manifest


def contract_of(manifest: dict[str, Any]) -> PolicySpec:
    """The contract in a manifest; raises CheckpointError."""
    try:
        return PolicySpec.from_json(json.dumps(manifest["policy"]["spec"]))
    except (InvalidSpec, KeyError) as error:
        raise CheckpointError(f"the manifest holds no contract ({error}); save the policy again") from error


def check_hashes(path: Path, manifest: dict[str, Any], on_bytes: Callable[[int], None] = lambda count: None) -> None:
    """CheckpointError if a file's content is not what the manifest says. `on_bytes` is told how many more were read."""
    for name, part in _HASHED.items():
        digest, wanted = sha256_of(path / name, on_bytes), manifest[f"{part}_sha256"]
        if digest != wanted:
            raise CheckpointError(
                f"{path / name} has SHA-256 {digest[:12]}..., the manifest says {wanted[:12]}...: it is damaged or "
                "belongs to another policy; copy the checkpoint again"
            )


def _advice(version: object) -> str:
    if version == 1:
        return (
            "Checkpoints of version 1 have no golden answers to prove that the policy still does what it did: train it "
            "again into a new output_dir, or use it with the release that wrote it"
        )
    if isinstance(version, int) and version > SCHEMA_VERSION:
        return "It was written by a newer release: update Armature"
    return "It is no manifest of a checkpoint"
