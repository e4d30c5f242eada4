"""Everything that defines a policy but its weights, as plain JSON: for checkpoints and for worker processes.

`model.kind` names the kind of policy; `sim_train.policies.kinds` tells how to add one.
"""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from policy_api.errors import InvalidSpec
from policy_api.schema import PolicySpec

import sim_train.policies.act
import sim_train.policies.backbone_vla.kind
import sim_train.policies.flow_vla
import sim_train.policies.lerobot.kind
import sim_train.policies.mlp
import sim_train.policies.openvla.kind  # noqa: F401 - these register their kinds
from sim_train.policies.kinds import Kind, StoredPolicy, kind_named, kind_names, kind_of, register, sizes
from sim_train.policies.token_vla import TokenVla, TokenVlaConfig


class BlueprintError(ValueError):
    """A description of a policy that this version cannot build."""


def to_blueprint(policy: StoredPolicy) -> dict[str, Any]:
    """The policy's contract, its kind and what that kind needs (sizes, vocabulary).

    Raises:
        BlueprintError: the policy's class is of no registered kind.
    """
    found = kind_of(policy)
    if found is None:
        raise BlueprintError(f"{type(policy).__name__} is of no registered kind; known are {kind_names()}: register it")
    name, kind = found
    parts = kind.describe(policy)
    return {**parts, "model": {"kind": name, **parts["model"]}, "spec": json.loads(policy.spec.to_json())}


def from_blueprint(blueprint: dict[str, Any]) -> Any:  # noqa: ANN401 - of whichever kind the blueprint names
    """A policy of the kind that the blueprint names, with fresh weights.

    Raises:
        BlueprintError: a part is missing, unknown or of the wrong kind; the message names it.
    """
    if missing := {"model", "spec"} - blueprint.keys():
        raise BlueprintError(f"the policy's description lacks {sorted(missing)}")
    parts = {name: part for name, part in blueprint.items() if name != "spec"}
    try:
        model = dict(parts["model"])
        name = model.pop("kind", None)
        kind = kind_named(name)
        if kind is None:
            raise BlueprintError(f"model kind {name!r} is unknown; this version builds {kind_names()}")
        return kind.build(PolicySpec.from_json(json.dumps(blueprint["spec"])), {**parts, "model": model})
    except BlueprintError:
        raise
    except KeyError as error:
        raise BlueprintError(f"the policy's description lacks {error}") from error
    except (InvalidSpec, TypeError, ValueError) as error:
        raise BlueprintError(f"the policy's description cannot be used: {error}") from error


def _describe_token_vla(policy: TokenVla) -> dict[str, Any]:
    return {"model": dataclasses.asdict(policy.config), "vocabulary": list(policy.tokenizer.vocabulary)}


def _build_token_vla(spec: PolicySpec, parts: dict[str, Any]) -> TokenVla:
    return TokenVla(spec, sizes(TokenVlaConfig, parts["model"]), parts["vocabulary"])


register("token_vla", Kind(TokenVla, _describe_token_vla, _build_token_vla, TokenVlaConfig))
