"""Evaluation of several tasks, and of tasks that a policy was not trained on."""

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf
from rich.console import Console
from tiny_model import TINY

from sim_train import evaluate as module
from sim_train.checkpoint import save_policy
from sim_train.command_line import opened, players, rollout_of
from sim_train.envs.settings import WorldSettings
from sim_train.envs.specs import task_spec
from sim_train.evaluate import evaluate, worlds_for
from sim_train.policies.text import build_vocabulary
from sim_train.policies.token_vla import TokenVla
from sim_train.rigs import Rig, load_rig
from sim_train.rollouts.config import RolloutConfig
from sim_train.typed import ConfigError


def policy_of(task, **contract):
    torch.manual_seed(0)
    return TokenVla(task_spec(task, **contract), TINY, build_vocabulary(["pick up the red cube"]))


def test_every_task_has_its_own_figures_on_the_same_seeds():
    policy = policy_of("click_bell+pick_cube", image_size=16)
    worlds = worlds_for(policy, policy.spec.task, "mujoco", "none", {})
    seeds = range(1_000_000, 1_000_003)
    result = evaluate(policy, worlds, seeds, RolloutConfig(workers=1, envs_per_worker=4), Console(file=io.StringIO()))
    assert (result["task"], result["seen"], result["episodes"]) == ("click_bell+pick_cube", True, 6)
    assert list(result["tasks"]) == ["click_bell", "pick_cube"]
    for part in result["tasks"].values():
        assert part["seen"] and part["episodes"] == 3
        assert list(part["seeds"]) == [str(seed) for seed in seeds]
        low, high = part["success_ci95"]
        assert low <= part["success"] <= high
    assert result["successes"] == sum(part["successes"] for part in result["tasks"].values())
    assert "seeds" not in result


def test_a_task_of_another_contract_is_refused():
    with pytest.raises(ValueError, match="cannot do 'lift_pot': the contracts differ"):
        worlds_for(policy_of("pick_cube"), "lift_pot", "mujoco", "none", {})
    with pytest.raises(ValueError, match="unknown task 'magic'"):
        worlds_for(policy_of("pick_cube"), "magic", "mujoco", "none", {})
    other = policy_of("pick_cube")
    other._spec = replace(other.spec, dt_s=0.2)
    with pytest.raises(ValueError, match=r"trained on 'pick_cube', cannot do 'pick_cube': .*dt_s: 0\.1 against 0\.2"):
        worlds_for(other, "pick_cube", "mujoco", "none", {})


def test_worlds_show_what_the_contract_says():
    worlds = worlds_for(policy_of("pick_cube", cameras=("wrist",), image_size=32), "click_bell", "mujoco", "none", {})
    assert [(c.name, c.input_size) for c in worlds.spec.cameras] == [("wrist", 32)]
    assert worlds == WorldSettings("click_bell", contract=worlds.contract)


def test_an_unseen_task_is_told_and_has_its_knobs_of_training(tmp_path, capsys):
    config = {"knobs": {"half_size": 0.02}, "curriculum": {"knobs": {"spread": [0.2, 0.6]}}}
    policy = policy_of("pick_cube", image_size=16)
    policy.eval()
    save_policy(tmp_path / "policy", policy, {"stage": "sft", "config": config})
    output = tmp_path / "result.json"
    settings = OmegaConf.load(Path(module.__file__).parent / "conf" / "evaluate.yaml")
    settings.update(
        {"checkpoint": str(tmp_path / "policy"), "output": str(output), "task": "click_bell", "episodes": 2}
    )
    settings.update({"workers": 1, "envs_per_worker": 2, "video_seeds": [1000001], "video_dir": str(tmp_path)})
    settings.update({"rollout": {**players(), "inference": "shared"}})
    module.main(settings)
    result = json.loads(output.read_text())
    assert (result["task"], result["seen"], result["knobs"]) == ("click_bell", False, {"spread": 0.6})
    assert list(result["seeds"]) == ["1000000", "1000001"]
    assert result["videos"]["1000001"]["success"] == result["seeds"]["1000001"]
    assert "of 2 episodes, not trained on" in capsys.readouterr().out
    assert result["rig"] == load_rig("default").to_plain()


def test_the_rig_is_that_of_training_unless_another_is_named(tmp_path, monkeypatch):
    made = Rig("bench_3", {"table": {"height_m": 0.01}})
    monkeypatch.setattr(module, "load_rig", lambda name: made)
    policy = policy_of("pick_cube", image_size=16)
    policy.eval()
    save_policy(tmp_path / "policy", policy, {"stage": "sft", "rig": made.to_plain()})
    assert module._rig_of(tmp_path / "policy") == made
    worlds = worlds_for(policy, "pick_cube", "mujoco", "none", {}, made.values)
    assert worlds.rig == made.values and worlds.drawn.table.height_m.quantile(0.5) == 0.01
    save_policy(tmp_path / "older", policy, {"stage": "sft", "rig": {"name": "bench_3", "sha256": "0" * 64}})
    with pytest.raises(ConfigError, match=r"rig bench_3 was measured anew .* rig=bench_3 takes"):
        module._rig_of(tmp_path / "older")


def test_who_plays_is_said_as_in_training():
    config = rollout_of({**players(), "engine": "ray", "inference": "shared"}, 3, 5)
    assert (config.engine, config.inference, config.workers, config.envs_per_worker) == ("ray", "shared", 3, 5)
    for plain, said in (
        ({"asynchronous": True}, "for training"),
        ({"engine": "ray", "ray": {"trainer": {"cpus": 1}}}, "for training"),
        ({"engine": "rai"}, "rollout.engine must be one of"),
        ({"pace": 1}, "unknown setting rollout.pace"),
    ):
        with pytest.raises(ConfigError, match=said):
            rollout_of(plain, 1, 1)
    assert opened(["rollout.ray.rollout.resources.simulation=1", "task=x"]) == [
        "++rollout.ray.rollout.resources.simulation=1",
        "task=x",
    ]
