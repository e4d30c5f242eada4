"""OpenVLA-OFT as a kind of policy, so that trainer, workers and server can store it and build it again.

Its own checkpoints (`sim_train.checkpoint`) then hold everything: contract, sizes, tokenizer and statistics.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from policy_api.schema import FieldSpec, PolicySpec
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from sim_train.policies.kinds import Kind, register, sizes
from sim_train.policies.openvla.actions import Bounds, Normaliser
from sim_train.policies.openvla.checkpoint import load_openvla
from sim_train.policies.openvla.config import LanguageConfig, OpenVlaConfig, TowerConfig
from sim_train.policies.openvla.network import OpenVla
from sim_train.policies.openvla.policy import PROMPT, OpenVlaPolicy, parse_tokenizer, read_tokenizer
from sim_train.policies.text import UNKNOWN, build_vocabulary


@dataclass(frozen=True)
class OpenVlaSizes:
    """Which network a new policy has, and where its weights come from."""

    network: Literal["openvla_7b", "miniature"] = "openvla_7b"
    """The published one, or the same with some 0.2 M parameters and images of 28 x 28, to try things out."""
    weights: str = ""
    """Directory of a published checkpoint with its tokenizer.json; empty: fresh weights, and a token a word."""
    dataset: str = ""
    """Data set in the checkpoint's statistics that says what -1..1 means; empty: the ranges of the contract."""
    bounds: Bounds = "q01_q99"
    """Which of these statistics."""
    proprio: bool = True
    """Whether the network has a proprioception token."""
    text_tokens: int = 64
    """Places for a prompt."""
    crop_area: float = 1.0
    """Share of each image's area that the network sees; 0.9 for checkpoints that were trained with random crops."""


def _plain_normaliser(normaliser: Normaliser) -> dict[str, Any]:
    return {name: getattr(normaliser, name).tolist() for name in ("low", "high", "mask")}


def _normaliser(plain: dict[str, Any]) -> Normaliser:
    low, high = (np.asarray(plain[name], dtype=np.float64) for name in ("low", "high"))
    return Normaliser(low, high, np.asarray(plain["mask"], dtype=np.bool_))


def _describe(policy: OpenVlaPolicy) -> dict[str, Any]:
    return {
        "model": dataclasses.asdict(policy.network.config),
        "view": {"text_tokens": policy.text_tokens, "crop_area": policy.crop_area},
        "tokenizer": policy.tokenizer.to_str(),
        "action": _plain_normaliser(policy.action),
        "proprio": None if policy.proprio is None else _plain_normaliser(policy.proprio),
    }


def _build(spec: PolicySpec, parts: dict[str, Any]) -> OpenVlaPolicy:
    towers = {name: sizes(TowerConfig, parts["model"][name]) for name in ("dinov2", "siglip")}
    language = sizes(LanguageConfig, parts["model"]["language"])
    config = sizes(OpenVlaConfig, {**parts["model"], **towers, "language": language})
    tokenizer = parse_tokenizer(parts["tokenizer"])
    proprio = None if parts["proprio"] is None else _normaliser(parts["proprio"])
    return OpenVlaPolicy(spec, OpenVla(config), tokenizer, _normaliser(parts["action"]), proprio, **parts["view"])


def _make(spec: PolicySpec, sizes: OpenVlaSizes, vocabulary: Sequence[str]) -> OpenVlaPolicy:
    proprio_dim = len(spec.state) if sizes.proprio else None
    config = (
        OpenVlaConfig.miniature(proprio_dim) if sizes.network == "miniature" else OpenVlaConfig.openvla_7b(proprio_dim)
    )
    text, crop = sizes.text_tokens, sizes.crop_area
    if sizes.weights and sizes.dataset:
        return OpenVlaPolicy.load(
            Path(sizes.weights),
            spec,
            config,
            sizes.dataset,
            sizes.bounds,
            torch.float32,
            crop_area=crop,
            text_tokens=text,
        )
    action = _range_of(spec.action)
    proprio = _range_of(spec.state) if sizes.proprio else None
    if sizes.weights:
        tokenizer = read_tokenizer(Path(sizes.weights))
        network = load_openvla(Path(sizes.weights), config, torch.float32)
    else:
        tokenizer, network = _word_tokenizer(vocabulary, config), OpenVla(config)
    return OpenVlaPolicy(spec, network, tokenizer, action, proprio, text, crop)


def _range_of(fields: Sequence[FieldSpec]) -> Normaliser:
    low, high = (np.array([getattr(field, end) for field in fields]) for end in ("lower", "upper"))
    return Normaliser(low, high, np.ones(len(fields), dtype=np.bool_))


def _word_tokenizer(vocabulary: Sequence[str], config: OpenVlaConfig) -> Tokenizer:
    """A token for each word of the prompt, between the special tokens and those that stand for something else."""
    words = build_vocabulary([PROMPT.format(" ".join(vocabulary[2:]))])[
        1:
    ]  # the network has a padding token of its own
    first = max(config.bos_token, config.stop_token) + 1
    room = min(config.empty_token, config.pad_token, config.action_slice.start) - first
    if len(words) > room:
        raise ValueError(f"{len(words)} words, those of the prompt included, are more than the {room} of the network")
    tokenizer = Tokenizer(models.WordLevel({word: first + i for i, word in enumerate(words)}, unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer


register("openvla", Kind(OpenVlaPolicy, _describe, _build, OpenVlaSizes, _make))
