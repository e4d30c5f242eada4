"""Save a policy and load it again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from sim_train.checkpoint.files import GOLDEN, WEIGHTS, CheckpointError, replaced
from sim_train.checkpoint.golden import Deviation, check_golden, write_golden
from sim_train.checkpoint.manifest import check_hashes, read_manifest, write_manifest
from sim_train.checkpoint.provenance import made_with
from sim_train.policies.blueprint import BlueprintError, from_blueprint, to_blueprint
from sim_train.policies.kinds import StoredPolicy, kind_of


def save_policy(path: Path, policy: StoredPolicy, record: dict[str, Any]) -> str:
    """Write a checkpoint to the directory `path` in one step, replacing an older checkpoint there.

    Returns the policy's revision (SHA-256 of the weights), which is also set on the policy.

    Args:
        path: directory of the checkpoint.
        policy: what to save, of a registered kind; its trainable weights in float32.
        record: how it came to be; anything that JSON takes.

    Raises:
        CheckpointError: `path` exists and is no checkpoint, or weights that are not finite or not float32.
        BlueprintError: the policy is of no registered kind.
        ValueError: the record holds what JSON does not take, such as NaN.
    """
    blueprint = to_blueprint(policy)
    tensors = {name: value.detach().cpu().contiguous() for name, value in _deployed(policy).items()}
    for name, tensor in tensors.items():
        if not _finite(tensor):
            raise CheckpointError(f"tensor {name!r} has values that are not finite; the policy is broken and not saved")
    for name, parameter in policy.named_parameters():
        if parameter.requires_grad and parameter.dtype != torch.float32:
            raise CheckpointError(
                f"tensor {name!r} is {parameter.dtype}, which would lose most of a small update; train and save "
                "float32 masters, and compute in lower precision under autocast"
            )
    training = policy.training
    with replaced(path) as fresh:
        save_file(tensors, fresh / WEIGHTS)
        policy.train(False)
        try:
            write_golden(fresh / GOLDEN, policy, blueprint.get("vocabulary", ()))
        finally:
            policy.train(training)
        revision = write_manifest(fresh, blueprint, record, made_with())
    policy.revision = revision
    return revision


def load_policy(path: Path) -> Any:  # noqa: ANN401 - of whichever kind was saved
    """The policy in directory `path`, ready to act, its `revision` set; of the class that the manifest's kind names.

    Raises:
        CheckpointError: missing, truncated, altered, pickled, made for another version, or answering otherwise than
            when it was saved.
    """
    return load_checked(path)[0]


def load_checked(path: Path) -> tuple[Any, Deviation]:
    """What `load_policy` returns, and how far its answers are from the golden ones."""
    path = Path(path)
    manifest = read_manifest(path)
    check_hashes(path, manifest)
    policy = build_policy(path, manifest)
    return policy, check_golden(path / GOLDEN, policy)


def build_policy(path: Path, manifest: dict[str, Any]) -> Any:  # noqa: ANN401 - of whichever kind was saved
    """The policy that the manifest describes, with the weights in directory `path`, its `revision` set.

    For whoever looks at manifest, hashes and golden answers in steps of its own; `load_policy` does all of it.

    Raises:
        CheckpointError: network, contract and weights do not fit together.
    """
    try:
        policy = from_blueprint(manifest["policy"])
        tensors = load_file(path / WEIGHTS)
    except (BlueprintError, SafetensorError) as error:
        raise CheckpointError(f"{path}: {error}") from error
    _fill(path, policy, tensors)
    policy.revision = manifest["weights_sha256"]
    policy.eval()
    return policy


def _fill(path: Path, policy: StoredPolicy, tensors: dict[str, torch.Tensor]) -> None:
    expected = _deployed(policy)
    unfit = "contract and network in the manifest do not fit these weights"
    if odd := sorted(tensors.keys() ^ expected.keys()):
        what = "is unknown to the network" if odd[0] in tensors else "is missing"
        raise CheckpointError(f"{path / WEIGHTS}: tensor {odd[0]!r} {what}; {unfit}")
    for name, tensor in tensors.items():
        wanted = expected[name]
        if tensor.shape != wanted.shape or tensor.dtype != wanted.dtype:
            raise CheckpointError(
                f"{path / WEIGHTS}: tensor {name!r} is {tensor.dtype} {tuple(tensor.shape)}; "
                f"the network needs {wanted.dtype} {tuple(wanted.shape)}; {unfit}"
            )
        if not _finite(tensor):
            raise CheckpointError(f"{path / WEIGHTS}: tensor {name!r} has values that are not finite; use another one")
    policy.load_state_dict({**policy.state_dict(), **tensors})


def _deployed(policy: StoredPolicy) -> dict[str, torch.Tensor]:
    """The weights that belong to a checkpoint: all but those that serve training alone."""
    found = kind_of(policy)
    left_out = found[1].undeployed if found else ()
    return {name: value for name, value in policy.state_dict().items() if not name.startswith(left_out)}


def _finite(tensor: torch.Tensor) -> bool:
    return not tensor.is_floating_point() or bool(torch.isfinite(tensor).all())
