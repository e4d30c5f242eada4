"""config.json against our sizes and the contract: what is read, and what is refused by name."""

import dataclasses

import pytest
from made_lerobot import FEATURES, MINIATURES, SPEC, config_json

from sim_train.policies.lerobot.config import Pi0Config, SmolVlaConfig, VisionSizes
from sim_train.policies.lerobot.config_json import (
    check_robot,
    match_cameras,
    plain_config,
    published,
    read_sizes,
)
from sim_train.policies.lerobot.layout import LeRobotError

KINDS = pytest.mark.parametrize("kind", ["pi0", "smolvla"])


@KINDS
def test_sizes_come_from_the_file(kind):
    towers = MINIATURES[kind]
    assert read_sizes(config_json(kind), towers) == towers
    other = dataclasses.replace(towers, chunk=7, steps=5, max_period=2.0, text_tokens=9)
    steps = "num_inference_steps" if kind == "pi0" else "num_steps"
    changed = {"chunk_size": 7, steps: 5, "max_period": 2.0, "tokenizer_max_length": 9}
    assert read_sizes(config_json(kind) | changed, towers) == other
    assert read_sizes(plain_config(other, SPEC), towers) == other


def test_published_sizes_are_named():
    assert published("pi0") == Pi0Config.pi0()
    assert published("smolvla") == SmolVlaConfig.smolvla()
    assert plain_config(Pi0Config.pi0(), SPEC)["paligemma_variant"] == "gemma_2b"
    assert plain_config(dataclasses.replace(Pi0Config.pi0(), chunk=8), SPEC)["action_expert_variant"] == "gemma_300m"
    assert plain_config(SmolVlaConfig.smolvla(), SPEC)["expert_width_multiplier"] == 0.75
    with pytest.raises(LeRobotError, match="'act'"):
        published("act")


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        ("pi0", "type", "smolvla"),
        ("pi0", "use_relative_actions", True),
        ("pi0", "image_resolution", [224, 224]),
        ("pi0", "paligemma_variant", "gemma_2b"),
        ("pi0", "n_obs_steps", 2),
        ("pi0", "chunk_size", 0),
        ("smolvla", "adapt_to_pi_aloha", True),
        ("smolvla", "attention_mode", "self_attn"),
        ("smolvla", "add_image_special_tokens", True),
        ("smolvla", "num_expert_layers", 2),
        ("smolvla", "self_attn_every_n_layers", 3),
        ("smolvla", "resize_imgs_with_padding", [512, 384]),
    ],
)
def test_refuses_another_network(kind, field, value):
    with pytest.raises(LeRobotError, match=field.removesuffix("_size")):
        read_sizes(config_json(kind) | {field: value}, MINIATURES[kind])


def test_cameras_are_in_the_files_order_and_unused_features_are_left_out():
    table = dict(reversed(FEATURES.items()))
    assert match_cameras(config_json("pi0"), SPEC, table) == tuple(FEATURES.items())
    assert match_cameras({"input_features": {}}, SPEC, table) == tuple(table.items())


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (None, r"no image feature 'observation.images.front'"),
        ({"observation.images.top": "front"}, r"names \['front'\]; the contract has \['front', 'wrist'\]"),
        ({"observation.images.top": "front", "observation.images.wrist": "front"}, "each once"),
        ({**FEATURES, "observation.images.unused": "side"}, "'side'"),
        ({"observation.state": "front", "observation.images.wrist": "wrist"}, "no image feature 'observation.state'"),
    ],
)
def test_refuses_cameras_that_do_not_fit(table, said):
    with pytest.raises(LeRobotError, match=said):
        match_cameras(config_json("pi0"), SPEC, table)


def test_refuses_another_robot():
    plain = config_json("pi0")
    check_robot(plain, SPEC)
    plain["output_features"]["action"]["shape"] = [6]
    with pytest.raises(LeRobotError, match=r"output_features.action has shape \[6\], the contract 4.*robot=contract"):
        check_robot(plain, SPEC)
    with pytest.raises(LeRobotError, match="output_features must map"):
        check_robot(plain | {"output_features": ["action"]}, SPEC)


def test_refuses_sizes_that_make_no_network():
    with pytest.raises(ValueError, match="patch"):
        VisionSizes(width=8, mlp=8, layers=1, heads=2, image_size=30, patch=14)
    with pytest.raises(ValueError, match="expert_width"):
        dataclasses.replace(Pi0Config.miniature(), expert_width=21)
    with pytest.raises(ValueError, match="min_period"):
        dataclasses.replace(Pi0Config.miniature(), min_period=5.0)
    with pytest.raises(ValueError, match="scale_factor"):
        dataclasses.replace(SmolVlaConfig.miniature(), scale_factor=3)
