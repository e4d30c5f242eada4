"""Everything that defines a policy but its weights, as plain JSON: for checkpoints and for worker processes."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from policy_api.errors import InvalidSpec
from policy_api.schema import PolicySpec

from sim_train.policies.token_vla import TokenVla, TokenVlaConfig


class BlueprintError(ValueError):
    """A description of a policy that this version cannot build."""


def to_blueprint(policy: TokenVla) -> dict[str, Any]:
    """The policy's contract, sizes and vocabulary."""
    return {
        "model": {"kind": "token_vla", **dataclasses.asdict(policy.config)},
        "vocabulary": list(policy.tokenizer.vocabulary),
        "spec": json.loads(policy.spec.to_json()),
    }


def from_blueprint(blueprint: dict[str, Any]) -> TokenVla:
    """A policy with fresh weights.

    Raises:
        BlueprintError: a part is missing, unknown or of the wrong kind; the message names it.
    """
    if missing := {"model", "vocabulary", "spec"} - blueprint.keys():
        raise BlueprintError(f"the policy's description lacks {sorted(missing)}")
    model = dict(blueprint["model"])
    kind = model.pop("kind", None)
    if kind != "token_vla":
        raise BlueprintError(f"model kind {kind!r} is unknown; this version builds 'token_vla'")
    known = {f.name for f in dataclasses.fields(TokenVlaConfig)}
    if model.keys() != known:
        raise BlueprintError(
            f"model sizes differ from what this version knows: missing {sorted(known - model.keys())}, "
            f"unknown {sorted(model.keys() - known)}"
        )
    try:
        spec = PolicySpec.from_json(json.dumps(blueprint["spec"]))
        config = TokenVlaConfig(**{**model, "channels": tuple(model["channels"])})
        return TokenVla(spec, config, blueprint["vocabulary"])
    except (InvalidSpec, TypeError, ValueError) as error:
        raise BlueprintError(f"the policy's description cannot be used: {error}") from error
