"""Policies that others published -> checkpoints, and back to LeRobot."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from policy_api.errors import InvalidSpec
from policy_api.schema import PolicySpec

from sim_train.checkpoint.files import CheckpointError
from sim_train.checkpoint.manifest import read_manifest
from sim_train.checkpoint.store import load_policy, save_policy
from sim_train.policies.choice import PolicyChoice, make_policy
from sim_train.policies.lerobot.checkpoint import save_lerobot
from sim_train.policies.lerobot.policy import LeRobotPolicy
from sim_train.typed import ConfigError


def import_policy(kind: str, weights: Path, contract: Path, out: Path, settings: Sequence[str]) -> str:
    """Make a checkpoint of published weights; returns its revision.

    Args:
        kind: "pi0", "smolvla" or "openvla"; any whose sizes name `weights`.
        weights: directory of the published policy.
        contract: JSON of the contract, or a checkpoint that was made for it.
        out: directory of the checkpoint.
        settings: the kind's sizes as "name=value", values in JSON or plain text.

    Raises:
        CheckpointError: the weights cannot be used, not for this contract, or there is no contract.
    """
    sizes: dict[str, Any] = {"weights": str(weights)}
    for setting in settings:
        name, separator, value = setting.partition("=")
        if not separator:
            raise CheckpointError(f"{setting!r} is no setting; write NAME=VALUE, as robot=contract")
        sizes[name] = _parsed(value)
    try:
        policy = make_policy(PolicyChoice(kind, sizes), read_contract(contract), ())
    except ConfigError as error:
        raise CheckpointError(str(error)) from error
    return save_policy(out, policy, {"imported": {"kind": kind, **sizes}})


def export_lerobot(checkpoint: Path, out: Path) -> None:
    """Write the policy of a checkpoint in LeRobot's layout.

    Raises:
        CheckpointError: the checkpoint cannot be used, or its kind is none that LeRobot has.
    """
    policy = load_policy(checkpoint)
    if not isinstance(policy, LeRobotPolicy):
        raise CheckpointError(f"{checkpoint} holds {type(policy).__name__}; LeRobot's layout is for pi0 and smolvla")
    save_lerobot(policy, out)


def read_contract(path: Path) -> PolicySpec:
    """The contract in a JSON file, or of the checkpoint in a directory; raises CheckpointError."""
    try:
        text = json.dumps(read_manifest(path)["policy"]["spec"]) if path.is_dir() else path.read_text(encoding="utf-8")
        return PolicySpec.from_json(text)
    except (InvalidSpec, OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path} holds no contract: {error}") from error


def _parsed(value: str) -> Any:  # noqa: ANN401 - whatever JSON holds
    try:
        return json.loads(value)
    except json.JSONDecodeError:
        return value
