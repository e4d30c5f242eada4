"""Training cells through commands that are only pretended: who starts from what, and what is read from the records."""

import json

import pytest

from benchmarks.rl import generalisation, training
from benchmarks.rl.cells import Cell, Store
from benchmarks.rl.training import figures, imitation_settings, training_cell
from benchmarks.rl.workshop import Workshop

RL_RECORD = {
    "seconds": 50.0,
    "updates": 4,
    "episodes": 900,
    "stopped_because": "the budget is used up",
    "validation": {"greedy": {"success": 0.9}},
    "curve": [
        {"seconds": 10.0, "episodes": 200, "rollout_gap": 1e-5},
        {"seconds": 20.0, "episodes": 400, "rollout_gap": 3e-5, "greedy_success": 0.6, "validation_s": 5.0},
        {"seconds": 35.0, "episodes": 600, "rollout_gap": None},
        {"seconds": 45.0, "episodes": 900, "rollout_gap": 2e-5, "greedy_success": 0.9, "validation_s": 5.0},
    ],
}
SFT_RECORD = {"seconds": 30.0, "demonstrations": 60, "validation": {"greedy": {"success": 0.3}}}
SETTINGS = {"task": "pick_cube", "sft.steps": 5, "rl.stop_at": 0.9, "rl.validation_episodes": 10}


def cell(name, settings=SETTINGS, evaluated=("sft", "rl")):
    wanted = {"seed": 0, "budget_min": 1, "settings": settings, "episodes": 10, "first_seed": 1_000_000}
    return Cell(name, "training", {**wanted, "evaluated": list(evaluated)}, 1.0)


class Pretended(Workshop):
    """Leaves what the commands would leave."""

    def command(self, module, settings, log, watch=None):
        self.told.append((module, settings))
        if module == "sim_train.evaluate":
            result = {"success": 0.5, "successes": 5, "episodes": 10, "success_ci95": [0.2, 0.8], "seconds": 1.0}
            result |= {"mean_chunks_of_success": 3.0, "faults": 0}
            written = training.Path(settings["output"])
            result["revision"] = revision(training.Path(settings["checkpoint"]))
        else:
            (stage,) = settings["stages"]
            result = {"record": SFT_RECORD if stage == "sft" else RL_RECORD}
            written = training.Path(settings["output_dir"]) / stage / "manifest.json"
            result["weights_sha256"] = str(len(self.told))
        written.parent.mkdir(parents=True, exist_ok=True)
        written.write_text(json.dumps(result))

    @property
    def trained(self):
        return [settings for module, settings in self.told if module == "sim_train.train"]

    @property
    def evaluated(self):
        return [settings for module, settings in self.told if module == "sim_train.evaluate"]


def revision(checkpoint):
    return json.loads((checkpoint / "manifest.json").read_text())["weights_sha256"]


@pytest.fixture
def shop(tmp_path, monkeypatch):
    for module in (training, generalisation):
        monkeypatch.setattr(module, "read_manifest", lambda path: json.loads((path / "manifest.json").read_text()))
    made = Pretended(tmp_path / "scratch", Store(tmp_path / "results"), {})
    object.__setattr__(made, "told", [])
    return made


def test_the_curve_has_training_time_without_checks():
    found = figures(RL_RECORD, 0.3)
    assert [(p["seconds"], p["train_s"], p["greedy"]) for p in found["curve"]] == [
        (0.0, 0.0, 0.3),
        (20.0, 20.0, 0.6),
        (45.0, 40.0, 0.9),
    ]
    assert (found["logprob_gap"], found["rl_s"], found["rl_episodes"]) == (3e-5, 50.0, 900)


def test_imitation_then_reinforcement_then_evaluation(shop):
    found = training_cell(shop, cell("task.pick_cube.seed0"))
    assert [settings["stages"] for settings in shop.trained] == [["sft"], ["rl"]]
    assert "rl.stop_at" not in shop.trained[0]
    assert shop.trained[0]["rl.validation_episodes"] == 10
    assert (shop.trained[1]["rl.stop_at"], shop.trained[1]["budget_min"]) == (0.9, 1)
    assert [len(told["video_seeds"]) for told in shop.evaluated] == [training.FILMED] * 2
    assert (found["wall_s"], found["demonstrations"], found["rl"]["successes"]) == (80.0, 60, 5)
    json.dumps(found)


def test_arms_share_the_imitation_that_they_start_from(shop):
    training_cell(shop, cell("ablation.base.seed0", evaluated=["rl"]))
    training_cell(shop, cell("ablation.hot.seed0", {**SETTINGS, "rl.update.temperature": 1.6}, ["rl"]))
    assert [settings["stages"] for settings in shop.trained] == [["sft"], ["rl"], ["rl"]]
    starts = [revision(training.Path(settings["output_dir"]) / "sft") for settings in shop.trained]
    assert len(set(starts)) == 1
    assert all("video_seeds" not in told for told in shop.evaluated)
    assert imitation_settings(SETTINGS) == {"task": "pick_cube", "sft.steps": 5, "rl.validation_episodes": 10}


def test_what_an_interrupted_cell_has_finished_is_not_done_again(shop):
    training_cell(shop, cell("task.pick_cube.seed0"))
    before = len(shop.told)
    training_cell(shop, cell("task.pick_cube.seed0"))
    assert len(shop.told) == before


def test_a_chain_of_reinforcement_starts_where_the_turn_before_ended(shop):
    wanted = {**cell("x").settings, "points": 2, "held_out": {"task": "reach_target"}}
    found = generalisation.reinforcement_cell(shop, Cell("generalisation.a.rl.seed0", "x", wanted, 1.0))
    first, second = shop.trained[1:]
    assert first["seed"] != second["seed"]
    assert revision(training.Path(second["output_dir"]) / "sft") == revision(training.Path(first["output_dir"]) / "rl")
    assert [point["at"] for point in found["points"]] == [0.0, 50.0, 100.0]
    assert [point["seen"] for point in found["points"]] == [0.3, 0.9, 0.9]
    assert {told["task"] for told in shop.evaluated} == {"reach_target"}


def test_longer_imitation_is_trained_anew_at_every_point(shop):
    wanted = {**cell("x").settings, "imitation": {"sft.enough": 1.0}, "steps": [100, 200], "held_out": {}}
    found = generalisation.imitation_cell(shop, Cell("generalisation.a.sft.seed0", "x", wanted, 1.0))
    assert [(told["sft.steps"], told["sft.enough"]) for told in shop.trained] == [(100, 1.0), (200, 1.0)]
    assert [point["at"] for point in found["points"]] == [100, 200]
