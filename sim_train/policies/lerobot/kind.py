"""pi0 and SmolVLA as kinds of policies, so that trainer, workers and server can store them and build them again.

Our own checkpoints (`sim_train.checkpoint`) then hold everything: contract, sizes, tokenizer and statistics.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

from policy_api.schema import PolicySpec
from tokenizers import Tokenizer

from sim_train.policies.flow_exploration import ExplorationConfig
from sim_train.policies.kinds import Kind, register, sizes
from sim_train.policies.lerobot.checkpoint import Robot, kind_of_sizes, load_lerobot
from sim_train.policies.lerobot.config import DecoderSizes, LeRobotConfig, VisionSizes
from sim_train.policies.lerobot.config_json import KINDS, miniature, published
from sim_train.policies.lerobot.policy import LeRobotPolicy, Pi0, SmolVla
from sim_train.policies.lerobot.text import parse_tokenizer
from sim_train.policies.text import InstructionTokenizer


@dataclass(frozen=True)
class LeRobotSizes:
    """Which network a new policy has, and where its weights come from."""

    network: Literal["published", "miniature"] = "published"
    """The published sizes, or the same network with some 70,000 parameters, to try things out."""
    weights: str = ""
    """Directory of a LeRobot policy; empty: fresh weights, and a token a word."""
    tokenizer: str = ""
    """tokenizer.json of the language model, or a directory with it; empty: it lies beside the weights."""
    robot: Robot = "file"
    """Whether the weights were trained for the contract's robot ("file") or are a start for it ("contract")."""
    cameras: dict[str, str] = field(default_factory=dict)
    """Image feature of the weights -> camera of the contract; empty: `observation.images.` and the camera's name."""
    steps: int | None = None
    """K, steps from noise to actions; null: as the weights were made for. piRL's reinforcement worked with 4."""
    exploration: ExplorationConfig = field(default_factory=ExplorationConfig)
    """How it explores in reinforcement learning."""


def _make(kind: str, spec: PolicySpec, sizes: LeRobotSizes, vocabulary: Sequence[str]) -> LeRobotPolicy:
    towers = published(kind) if sizes.network == "published" else miniature(kind)
    if sizes.weights:
        return load_lerobot(
            Path(sizes.weights),
            spec,
            tokenizer=Path(sizes.tokenizer) if sizes.tokenizer else None,
            cameras=sizes.cameras or None,
            robot=sizes.robot,
            steps=sizes.steps,
            exploration=sizes.exploration,
            towers=towers,
        )
    config = dataclasses.replace(
        towers,
        chunk=spec.horizon,
        max_state_dim=max(towers.max_state_dim, len(spec.state)),
        max_action_dim=max(towers.max_action_dim, len(spec.action)),
        steps=sizes.steps or towers.steps,
        cameras=tuple(sizes.cameras.items()),
        bos_token=None,
    )
    words = InstructionTokenizer(vocabulary, config.text_tokens)
    if len(vocabulary) > config.language.vocab:
        raise ValueError(f"{len(vocabulary)} words are more than the {config.language.vocab} tokens of the network")
    tokenizer = Tokenizer.from_str(words.tokenizer.backend_tokenizer.to_str())
    return kind_of_sizes(config)(spec, config, tokenizer, sizes.exploration)


def _describe(policy: LeRobotPolicy) -> dict[str, Any]:
    return {
        "model": dataclasses.asdict(policy.config),
        "exploration": dataclasses.asdict(policy.exploration_config),
        "tokenizer": policy.tokenizer.tokenizer.to_str(),
    }


def _build(kind: type[LeRobotConfig], spec: PolicySpec, parts: dict[str, Any]) -> LeRobotPolicy:
    model = parts["model"]
    inner = {"vision": sizes(VisionSizes, model["vision"]), "language": sizes(DecoderSizes, model["language"])}
    config = sizes(kind, {**model, **inner})
    exploration = sizes(ExplorationConfig, parts["exploration"])
    return kind_of_sizes(config)(spec, config, parse_tokenizer(parts["tokenizer"]), exploration)


for _name, _policy in (("pi0", Pi0), ("smolvla", SmolVla)):
    register(
        _name,
        Kind(
            _policy,
            _describe,
            partial(_build, KINDS[_name]),
            LeRobotSizes,
            partial(_make, _name),
            undeployed=("exploration.",),
        ),
    )
