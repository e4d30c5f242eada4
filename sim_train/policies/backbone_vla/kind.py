"""Policies of any backbones as a kind, so that trainer, workers and server can store them and build them again."""

from __future__ import annotations

from typing import Any

from policy_api.schema import PolicySpec

from sim_train.policies.backbone_vla.config import BackboneVlaConfig
from sim_train.policies.backbone_vla.policy import BackboneVla
from sim_train.policies.backbone_vla.text import PretrainedTokenizer
from sim_train.policies.kinds import Kind, register, sizes


def _describe(policy: BackboneVla) -> dict[str, Any]:
    if isinstance(policy.tokenizer, PretrainedTokenizer):
        return {"model": policy.settings, "tokenizer": policy.tokenizer.tokenizer.to_str()}
    return {"model": policy.settings, "vocabulary": list(policy.tokenizer.vocabulary)}


def _build(spec: PolicySpec, parts: dict[str, Any]) -> BackboneVla:
    config = sizes(BackboneVlaConfig, parts["model"])
    return BackboneVla(spec, config, parts.get("vocabulary", ()), parts.get("tokenizer", ""))


register("backbone_vla", Kind(BackboneVla, _describe, _build, BackboneVlaConfig))
