"""LeRobot's config.json <-> our sizes.

Sources: `pi0/configuration_pi0.py`, `smolvla/configuration_smolvla.py` and `configs/policies.py` of
huggingface/lerobot.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from policy_api.schema import PolicySpec

from sim_train.policies.lerobot.config import LeRobotConfig, Pi0Config, SmolVlaConfig
from sim_train.policies.lerobot.layout import LeRobotError
from sim_train.policies.lerobot.statistics import ACTION, STATE

KINDS: dict[str, type[LeRobotConfig]] = {"pi0": Pi0Config, "smolvla": SmolVlaConfig}
IMAGES = "observation.images."
_FIELDS = {
    "chunk_size": "chunk",
    "max_state_dim": "max_state_dim",
    "max_action_dim": "max_action_dim",
    "num_inference_steps": "steps",
    "num_steps": "steps",
    "min_period": "min_period",
    "max_period": "max_period",
    "tokenizer_max_length": "text_tokens",
}
_MODES = {"VISUAL": "IDENTITY", "STATE": "MEAN_STD", "ACTION": "MEAN_STD"}


def published(kind: object) -> LeRobotConfig:
    """The published sizes of a `type` of policy; raises LeRobotError for a type that is not known here."""
    if kind == "pi0":
        return Pi0Config.pi0()
    if kind == "smolvla":
        return SmolVlaConfig.smolvla()
    raise LeRobotError(f"config.json says type {kind!r}; known here are {sorted(KINDS)}")


def miniature(kind: str) -> LeRobotConfig:
    """The sizes to try things out with."""
    return Pi0Config.miniature() if kind == "pi0" else SmolVlaConfig.miniature()


def read_sizes(plain: Mapping[str, Any], towers: LeRobotConfig) -> LeRobotConfig:
    """Sizes of the network in a directory.

    Args:
        plain: its config.json.
        towers: sizes of vision, language and expert, which the file names only.

    Raises:
        LeRobotError: the file describes another network; the text names the field.
    """
    if KINDS.get(str(plain.get("type"))) is not type(towers):
        raise LeRobotError(f"config.json says type {plain.get('type')!r}; the sizes are of {type(towers).__name__}")
    try:
        config = replace(towers, **{ours: plain[theirs] for theirs, ours in _FIELDS.items() if theirs in plain})
    except (TypeError, ValueError) as error:
        raise LeRobotError(f"config.json: {error}") from error
    for name, wanted in _fixed(config).items():
        if name in plain and plain[name] not in wanted:
            raise LeRobotError(f"config.json says {name} = {plain[name]!r}; expected {' or '.join(map(repr, wanted))}")
    return config


def plain_config(config: LeRobotConfig, spec: PolicySpec) -> dict[str, Any]:
    """What config.json says about a network and a contract; LeRobot's defaults stand for the rest."""
    steps = "num_inference_steps" if isinstance(config, Pi0Config) else "num_steps"
    fields = {theirs: getattr(config, ours) for theirs, ours in _FIELDS.items() if not theirs.startswith("num_")}
    cameras = {camera.name: camera for camera in spec.cameras}
    images = {
        feature: {"type": "VISUAL", "shape": [3, cameras[name].input_size, cameras[name].input_size]}
        for feature, name in config.cameras or default_cameras(spec)
    }
    return {
        "type": next(name for name, kind in KINDS.items() if kind is type(config)),
        "input_features": {**images, STATE: {"type": "STATE", "shape": [len(spec.state)]}},
        "output_features": {ACTION: {"type": "ACTION", "shape": [len(spec.action)]}},
        "normalization_mapping": _MODES,
        "n_action_steps": spec.horizon,
        steps: config.steps,
        **fields,
        **{name: wanted[0] for name, wanted in _fixed(config).items()},
    }


def default_cameras(spec: PolicySpec) -> tuple[tuple[str, str], ...]:
    """Every camera of the contract, under the name that LeRobot's data sets would give it."""
    return tuple((IMAGES + camera.name, camera.name) for camera in spec.cameras)


def match_cameras(
    plain: Mapping[str, Any], spec: PolicySpec, cameras: Mapping[str, str] | None
) -> tuple[tuple[str, str], ...]:
    """Image features and the contract's cameras, in the order of config.json, or of the table if it names none.

    Args:
        plain: config.json.
        spec: the contract.
        cameras: image feature -> camera; None: by name.

    Raises:
        LeRobotError: a camera without a feature, a feature or camera that does not exist, or one used twice. Features
            without a camera are left out: LeRobot hides them from the network.
    """
    table = dict(default_cameras(spec) if cameras is None else cameras)
    features = [
        name for name, feature in features_of(plain, "input_features").items() if feature.get("type") == "VISUAL"
    ]
    names = sorted(camera.name for camera in spec.cameras)
    if sorted(table.values()) != names:
        raise LeRobotError(f"the table of cameras names {sorted(table.values())}; the contract has {names}, each once")
    if not features:  # base models of older versions do not name any
        return tuple(table.items())
    if unknown := sorted(table.keys() - set(features)):
        raise LeRobotError(
            f"config.json has no image feature {unknown[0]!r}; it has {features}. Say which feature each of the "
            f"cameras {names} is (cameras)"
        )
    return tuple((feature, table[feature]) for feature in features if feature in table)


def features_of(plain: Mapping[str, Any], which: str) -> dict[str, dict[str, Any]]:
    """The features of config.json under "input_features" or "output_features"; raises LeRobotError."""
    features = plain.get(which) or {}
    if not isinstance(features, dict) or not all(isinstance(feature, dict) for feature in features.values()):
        raise LeRobotError(f"config.json: {which} must map names to features")
    return features


def check_robot(plain: Mapping[str, Any], spec: PolicySpec) -> None:
    """Raise LeRobotError unless state and action have as many numbers in config.json as in the contract."""
    for which, name, size in (
        ("input_features", STATE, len(spec.state)),
        ("output_features", ACTION, len(spec.action)),
    ):
        shape = features_of(plain, which).get(name, {}).get("shape")
        if shape != [size]:
            raise LeRobotError(
                f"config.json: {which}.{name} has shape {shape}, the contract {size} numbers. Weights of another robot "
                "can be a start for training (robot=contract)"
            )


def _fixed(config: LeRobotConfig) -> dict[str, tuple[Any, ...]]:
    """Fields and the values under which LeRobot's network is ours; the first is what we write."""
    square = [config.vision.image_size] * 2
    if isinstance(config, Pi0Config):
        full = replace(
            Pi0Config.pi0(), **{name: getattr(config, name) for name in {*_FIELDS.values(), "cameras", "bos_token"}}
        )
        return {
            "n_obs_steps": (1,),
            "image_resolution": (square,),
            "use_relative_actions": (False,),
            "paligemma_variant": ("gemma_2b" if config == full else "miniature",),
            "action_expert_variant": ("gemma_300m" if config == full else "miniature",),
        }
    assert isinstance(config, SmolVlaConfig)
    layers = config.language.layers
    return {
        "n_obs_steps": (1,),
        "resize_imgs_with_padding": (square,),
        "adapt_to_pi_aloha": (False,),
        "use_delta_joint_actions_aloha": (False,),
        "add_image_special_tokens": (False,),
        "attention_mode": ("cross_attn",),
        "num_vlm_layers": (layers,),
        "num_expert_layers": (-1, 0, layers),
        "self_attn_every_n_layers": (config.self_attention_every,),
        "expert_width_multiplier": (config.expert_width / config.language.width,),
    }
