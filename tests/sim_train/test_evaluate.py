"""Evaluation refuses what would flatter."""

import io

import pytest
from rich.console import Console

from sim_train.envs.settings import WorldSettings
from sim_train.envs.specs import task_spec
from sim_train.evaluate import evaluate, film
from sim_train.policies.text import build_vocabulary
from sim_train.policies.token_vla import TokenVla, TokenVlaConfig
from sim_train.rollouts.config import RolloutConfig

WORLDS = WorldSettings("pick_cube")


@pytest.mark.parametrize("seed", [0, 999_999, 2_000_000])
def test_only_evaluation_seeds_are_evaluated_on(tiny_policy, tmp_path, seed):
    with pytest.raises(ValueError, match="evaluation"):
        evaluate(tiny_policy, WORLDS, [seed], RolloutConfig(workers=1, envs_per_worker=1), Console(file=io.StringIO()))
    with pytest.raises(ValueError, match="evaluation"):
        film(tiny_policy, WORLDS, seed, tmp_path / "v.mp4")


def test_at_least_one_episode(tiny_policy):
    with pytest.raises(ValueError, match="at least one"):
        evaluate(tiny_policy, WORLDS, [], RolloutConfig(workers=1, envs_per_worker=1), Console(file=io.StringIO()))


def test_the_result_says_on_which_worlds_of_which_split():
    sizes = TokenVlaConfig(d_model=32, mlp=32)
    policy = TokenVla(task_spec("pick_cube"), sizes, build_vocabulary(["pick the red cube"]))
    worlds = WorldSettings("pick_cube", randomization="mild", knobs={"spread": 0.5})
    result = evaluate(
        policy,
        worlds,
        range(1_000_000, 1_000_004),
        RolloutConfig(workers=1, envs_per_worker=4),
        Console(file=io.StringIO()),
    )
    assert result["split"] == "evaluation"
    assert (result["engine"], result["randomization"], result["knobs"]) == ("mujoco", "mild", {"spread": 0.5})
    assert result["episodes"] == 4 and len(result["seeds"]) == 4


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"engine": "bullet"}, "unknown engine 'bullet'; expected one of mujoco, sapien"),
        ({"randomization": "crazy"}, "no randomization 'crazy'"),
        ({"knobs": {"size": 1.0}}, "has no knob 'size'"),
    ],
)
def test_unknown_worlds_are_refused_by_name(change, text):
    with pytest.raises(ValueError, match=text):
        WorldSettings("pick_cube", **change).make(1)
