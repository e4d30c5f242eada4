"""Settings."""

import pytest

from sim_train.config import ConfigError, TrainConfig, defaults, from_plain
from sim_train.policies.choice import sizes_of


def test_defaults_are_what_the_dataclasses_say():
    assert from_plain({"output_dir": "x", **defaults()}) == TrainConfig(output_dir="x")


def test_nested_values_reach_their_place():
    config = from_plain(
        {
            "output_dir": "x",
            "rl": {"update": {"clip": {"low": 0.1}}},
            "policy": {"sizes": {"channels": [4, 8, 8]}},
            "budget_min": 3,
        }
    )
    assert config.rl.update.clip.low == 0.1
    assert config.rl.update.clip.high == TrainConfig("x").rl.update.clip.high
    assert sizes_of(config.policy).channels == (4, 8, 8)
    assert config.budget_min == 3.0


@pytest.mark.parametrize(
    ("plain", "says"),
    [
        ({}, "output_dir"),
        ({"sft": {"stepz": 1}}, "sft.stepz"),
        ({"seed": "seven"}, "seed must be of type int"),
        ({"seed": True}, "seed"),
        ({"policy": {"sizes": {"channels": [1, 2]}}}, "policy.sizes.channels"),
        ({"stages": ["sft", "magic"]}, "stages"),
        ({"stages": []}, "stages"),
        ({"budget_min": 0.0}, "budget_min"),
        ({"rl": {"advantage": "luck"}}, "rl.advantage"),
        ({"rollout": {"asynchronous": True}, "rl": {"sampling": {"max_staleness": 0}}}, "rollout.asynchronous needs"),
        ({"rl": {"update": {"decoupled": {"max_weight": 0.5}}}}, "rl.update.decoupled"),
        ({"rl": {"algorithm": "luck"}}, "rl.algorithm"),
        ({"rl": {"sampling": {"group_size": 1}}}, "group_size"),
        ({"rl": {"sampling": {"group_size": 0}, "algorithm": "ppo"}}, "group_size"),
        ({"rl": {"sampling": {"max_staleness": 2}}}, "max_staleness"),
        ({"rl": {"update": {"constant_chunks": -1}}}, "constant_chunks"),
        ({"rl": {"update": {"max_skipped": -1}}}, "max_skipped"),
        ({"rl": {"update": {"ema_decay": 1.0}}}, "ema_decay"),
        ({"rl": {"ppo": {"trace": 1.1}}}, "rl.ppo.discount and trace"),
        ({"rl": {"ppo": {"value_clip": 0.0}}}, "value_clip"),
        ({"rl": {"anchor": {"weight": -0.1}}}, "anchor.weight"),
        ({"rl": {"update": {"temperature": 0.0}}}, "temperature"),
    ],
)
def test_settings_that_cannot_be_run_are_named(plain, says):
    if says != "output_dir":
        plain = {"output_dir": "x", **plain}
    with pytest.raises(ConfigError, match=says):
        from_plain(plain)


def test_ppo_needs_no_groups():
    plain = {"output_dir": "x", "rl": {"algorithm": "ppo", "sampling": {"group_size": 1}}}
    assert from_plain(plain).rl.sampling.group_size == 1


def test_fingerprint_tells_what_a_stage_depends_on():
    base = TrainConfig("x")
    other_rl = from_plain({"output_dir": "y", "budget_min": 1.0, "rl": {"validate_every": 3}})
    assert base.fingerprint("sft") == other_rl.fingerprint("sft")
    assert base.fingerprint("rl") != other_rl.fingerprint("rl")
    assert base.fingerprint("sft") != from_plain({"output_dir": "x", "seed": 1}).fingerprint("sft")


def test_worlds_are_part_of_what_a_stage_was_made_with():
    plain = {"output_dir": "x", "task": "pick_cube", "knobs": {"spread": 0.5}, "randomization": "mild"}
    config = from_plain(plain)
    assert config.worlds.knobs == {"spread": 0.5} and config.worlds.randomization == "mild"
    assert config.fingerprint("sft") != from_plain({**plain, "randomization": "none"}).fingerprint("sft")
    with pytest.raises(ConfigError, match=r"knobs\.spread must be of type float"):
        from_plain({**plain, "knobs": {"spread": "wide"}})
