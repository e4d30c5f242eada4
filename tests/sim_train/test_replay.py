"""Checkpoints of a run played again for its page."""

import dataclasses
import json

import pytest
from tiny_model import TINY

from sim_train.checkpoint import save_policy
from sim_train.config import from_plain
from sim_train.envs import BatchEnv
from sim_train.envs.specs import task_spec
from sim_train.policies.text import build_vocabulary
from sim_train.policies.token_vla import TokenVla
from sim_train.replay import replay_strategies, strategies_of
from sim_train.report import main
from sim_train.reports.runs import FILMS, RunError, read_run
from sim_train.rollouts.players import ExpertPlayer


@pytest.fixture
def run(tmp_path):
    """Two checkpoints that have learned nothing."""
    root = tmp_path / "run"
    config = from_plain(
        {"output_dir": str(root), "task": "reach_target", "policy": {"sizes": dataclasses.asdict(TINY)}}
    )
    for stage in ("sft", "rl"):
        policy = TokenVla(task_spec("reach_target"), TINY, build_vocabulary(["move to the red target"])).eval()
        validation = {"greedy": {"success": 0.0, "success_ci95": [0.0, 0.1], "episodes": 20}}
        save_policy(
            root / stage, policy, {"stage": stage, "config": dataclasses.asdict(config), "validation": validation}
        )
    return root


def test_a_page_with_strategies_and_videos(run, capsys):
    command = [str(run), "--strategies", "3", "--videos", "2"]
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "demonstrations" in said and "rl_train" in said and "filming 2 seeds" in said
    played = read_run(run)
    assert {who: len(tasks["reach_target"]) for who, tasks in played.strategies.items()} == dict.fromkeys(
        ("demonstrations", "sft", "rl", "rl_train"), 3
    )
    assert set(played.strategies["demonstrations"]["reach_target"].values()) == {"reached"}
    assert set(played.films["sft"]) == set(played.films["rl"]) and len(played.films["rl"]) == 2
    page = (run / "report.html").read_text()
    assert page.count("<video") == 4
    assert "How it was done" in page
    assert main(command) == 0
    assert "playing" not in (said := capsys.readouterr().out) and "filming" not in said  # it is there


def test_other_weights_are_played_anew(run, capsys):
    assert main([str(run), "--videos", "1"]) == 0
    path = run / FILMS / "rl.json"
    plain = json.loads(path.read_text())
    plain["made_of"]["revision"] = "of other weights"
    path.write_text(json.dumps(plain))
    assert read_run(run).films.keys() == {"sft"}
    capsys.readouterr()
    assert main([str(run), "--videos", "1"]) == 0
    said = capsys.readouterr().out
    assert "filming 1 seeds of each task: rl" in said and "task: sft" not in said


def test_an_unfinished_run_and_no_episodes_are_refused(run, capsys):
    assert main([str(run), "--strategies", "0"]) == 1
    assert main([str(run), "--videos", "0"]) == 1
    (run / "rl" / "manifest.json").unlink()
    with pytest.raises(RunError, match="rl is missing"):
        replay_strategies(read_run(run), 3, print)
    assert "at least one" in capsys.readouterr().err


def test_more_episodes_than_worlds_and_the_same_again():
    env = BatchEnv("pick_cube", 3, cameras=[])
    player = ExpertPlayer(env, [0.03, 0.03, 0.03, 0.0])
    seeds = list(range(1_000_000, 1_000_007))
    found = strategies_of(env, player, seeds)
    assert {int(seed) for seed in found} == set(seeds)
    assert found == strategies_of(env, player, seeds[::-1])
    assert list(found.values()).count("carried") >= 5
    env.close()
