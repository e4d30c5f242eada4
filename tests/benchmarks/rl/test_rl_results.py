"""`rl.json` and `rl.md`: what cells say together, what is missing, and what is reached."""

import json

import pytest
import yaml

from benchmarks.rl import __main__ as bench
from benchmarks.rl.cells import Store
from benchmarks.rl.plan import plan
from benchmarks.rl.recipes import read_recipes
from benchmarks.rl.results import DIRECTION, NOT_REPRODUCED, REPRODUCED, best_task_cell, summary, verdict
from benchmarks.rl.tables import page, reached

PLAIN = {
    "seeds": [0, 1, 2],
    "episodes": 200,
    "first_seed": 1_000_000,
    "tasks": {"pick_cube": {"budget_min": 2}, "stack_bowls": {"budget_min": 3}},
    "ablations": {
        "budget_min": 1,
        "settings": {"task": "pick_cube"},
        "arms": {"base": {}, "cold": {"rl.update.temperature": 0.5}},
        "compare": {"temperature_low": {"with": "base", "without": "cold"}},
    },
    "generalisation": {
        "wordings": {"budget_min": 1, "points": 1, "settings": {"task": "pick_cube"}, "imitation_steps": [5]}
    },
    "sb3": {"task": "pick_cube", "success": 0.9, "limit": 4},
    "scaling": {"task": "pick_cube"},
}
KEYS = {
    "machine",
    "date",
    "versions",
    "tasks",
    "ablations",
    "generalisation",
    "sb3_time_ratio",
    "cores_busy",
    "logprob_gap",
    "two_worker_scaling",
}


def evaluated(successes):
    return {"success": successes / 200, "successes": successes, "episodes": 200, "success_ci95": [0.0, 1.0]}


def trained(sft, rl, cores_busy=0.9, gap=1e-4):
    curve = [
        {"train_s": 0.0, "seconds": 0.0, "episodes": 0, "greedy": sft / 200},
        {"train_s": 25.0, "seconds": 30.0, "episodes": 500, "greedy": rl / 200},
    ]
    return {
        "sft": evaluated(sft),
        "rl": evaluated(rl),
        "curve": curve,
        "rl_s": 30.0,
        "wall_s": 90.0,
        "rl_episodes": 500,
        "demonstrations": 60,
        "cores_busy": cores_busy,
        "logprob_gap": gap,
    }


RESULTS = {
    "task.pick_cube.seed0": trained(60, 190),
    "task.pick_cube.seed1": trained(80, 196, 0.8, 5e-4),
    "task.pick_cube.seed2": trained(70, 186, None, None),
    "scaling": {"scaling": 1.8},
    "sb3.seed0": {"ours_s": 25.0, "reached_s": 50.0, "limit_s": 100.0, "curve": [{"greedy": 0.91}]},
    "sb3.seed1": {"ours_s": 25.0, "reached_s": None, "limit_s": 100.0, "curve": [{"greedy": 0.4}]},
    "ablation.base.seed0": trained(60, 180),
    "ablation.cold.seed0": trained(60, 100),
    "ablation.base.seed1": trained(60, 182),
    "ablation.cold.seed1": trained(60, 104),
    "ablation.base.seed2": trained(60, 150),  # without its pair
    "generalisation.wordings.rl.seed0": {"points": [{"at": 0.0, "seen": 0.3, "held_out": 0.2}]},
    "generalisation.wordings.rl.seed1": {"points": [{"at": 0.0, "seen": 0.5, "held_out": 0.4}]},
}


@pytest.fixture
def recipes_file(tmp_path):
    path = tmp_path / "recipes.yaml"
    path.write_text(yaml.safe_dump(PLAIN))
    return path


@pytest.fixture
def recipes(recipes_file):
    return read_recipes(recipes_file)


@pytest.fixture
def store(tmp_path, recipes):
    kept = Store(tmp_path / "results" / "rl")
    for cell in plan(recipes):
        if cell.name in RESULTS:
            kept.keep(cell, RESULTS[cell.name], 60.0)
    return kept


def test_all_that_is_asked_for_is_there_and_null_before_it_is_measured(tmp_path, recipes):
    values = summary(recipes, Store(tmp_path / "nothing"))
    assert values.keys() >= KEYS
    assert {values[key] for key in KEYS - {"machine", "date", "versions"}} == {None}
    assert values["missing"] == [cell.name for cell in plan(recipes)]
    assert "task.pick_cube.seed0" in page(values, [], {})


def test_figures_are_those_of_the_cells(recipes, store):
    values = summary(recipes, store)
    task = values["tasks"]["pick_cube"]
    assert (task["sft"], task["rl"], task["wall_s"]) == (0.35, 0.95, 90.0)
    assert 0.85 < task["ci95"][0] < 0.95 < task["ci95"][1] < 1.0
    assert [one["rl"] for one in task["seeds"]] == [0.95, 0.98, 0.93]
    assert "stack_bowls" not in values["tasks"]
    assert values["cores_busy"] == pytest.approx(0.85)
    assert values["logprob_gap"] == 5e-4
    assert values["two_worker_scaling"] == 1.8
    assert values["sb3_time_ratio"] == pytest.approx((0.5 + 0.25) / 2)
    assert (values["sb3"]["reached"], values["sb3"]["of"]) == (1, 2)
    assert values["generalisation"]["wordings"]["rl"] == [
        {"at": 0.0, "seen": 0.4, "held_out": pytest.approx(0.3), "held_out_of_seeds": [0.2, 0.4]}
    ]
    assert {"task.stack_bowls.seed0", "sb3.seed2", "ablation.cold.seed2"} <= set(values["missing"])


def test_an_ablation_compares_pairs(recipes, store):
    found = summary(recipes, store)["ablations"]["temperature_low"]
    assert (found["pairs"], found["with"], found["without"]) == (2, pytest.approx(0.905), pytest.approx(0.51))
    assert found["difference"] == pytest.approx(0.395)
    assert found["ci95"][0] < 0.395 < found["ci95"][1]
    # areas of one minute: from 0.3 straight to the end within 30 s, then level
    assert found["area_with"] == pytest.approx(0.75 * 0.905 + 0.25 * 0.3)
    assert found["verdict"] == REPRODUCED


@pytest.mark.parametrize(
    ("figures", "expected"),
    [
        ((0.2, (0.1, 0.3), 0.0, (-0.1, 0.1)), REPRODUCED),
        ((0.0, (-0.1, 0.1), 0.2, (0.1, 0.3)), REPRODUCED),
        ((0.2, (0.1, 0.3), -0.2, (-0.3, -0.1)), NOT_REPRODUCED),
        ((0.2, (-0.1, 0.5), 0.1, (-0.1, 0.3)), DIRECTION),
        ((0.2, None, 0.1, None), DIRECTION),
        ((-0.1, (-0.3, 0.1), 0.1, (-0.1, 0.3)), NOT_REPRODUCED),
        ((0.0, (-0.1, 0.1), 0.0, (-0.1, 0.1)), NOT_REPRODUCED),
    ],
)
def test_a_verdict_needs_an_interval_on_one_side_of_zero(figures, expected):
    assert verdict(*figures) == expected


@pytest.mark.parametrize(
    ("task", "sft", "rl", "expected"),
    [
        ("pick_cube", 0.4, 0.9, True),
        ("pick_cube", 0.4, 0.89, False),
        ("pick_cube", 0.6, 1.0, False),
        ("stack_bowls", 0.2, 0.4, True),
        ("stack_bowls", 0.2, 0.39, False),
        ("stack_bowls", 0.0, 0.0, False),
    ],
)
def test_what_a_task_must_reach(task, sft, rl, expected):
    assert reached(task, {"sft": sft, "rl": rl}) is expected


def test_the_best_run_has_the_highest_success(recipes, store, tmp_path):
    assert best_task_cell(recipes, store).name == "task.pick_cube.seed1"
    assert best_task_cell(recipes, Store(tmp_path / "nothing")) is None


def test_the_page_and_the_plots_show_the_figures(recipes, recipes_file, store, tmp_path):
    results = tmp_path / "results"
    bench.write_results(recipes, store, results, {"sb3.seed2": "first line\nno time to compare with"})
    text = (results / "rl.md").read_text()
    assert "| pick_cube | 60 | 35.0% | 95.0% (" in text
    assert "30.0% → 95.0%, 40.0% → 98.0%, 35.0% → 93.0% | 2 | 1.5 | 10%..50% → ≥ 90% | yes |" in text
    assert "| episodes/s of two workers against one | 1.80 | ≥ 1.6 | yes |" in text
    assert "| 25 | not within 100 | 40.0% |" in text
    assert "- `sb3.seed2`: no time to compare with" in text
    for name in ("pick_cube", "ablation_temperature_low", "generalisation_wordings"):
        assert f"(rl/{name}.svg)" in text
        assert 3_000 < (results / "rl" / f"{name}.svg").stat().st_size < 60_000
    assert json.loads((results / "rl.json").read_text()).keys() >= KEYS


def test_the_command_goes_on_after_an_interrupt(recipes_file, tmp_path, capsys):
    asked = []

    def fake(shop, cell):
        asked.append(cell.name)
        if cell.name == "task.stack_bowls.seed0" and len(asked) < 4:
            raise KeyboardInterrupt
        return trained(60, 190)

    def go(*arguments):
        told = [*arguments, "--cells", "task.*"]
        return bench.main(told, recipes_file, tmp_path / "results", tmp_path / "scratch", {"training": fake})

    assert go() == bench.INTERRUPTED
    assert asked == ["task.pick_cube.seed0", "task.stack_bowls.seed0"]
    assert json.loads((tmp_path / "results" / "rl.json").read_text())["tasks"].keys() == {"pick_cube"}
    assert go("--list") == 0
    assert "1 of 6 cells are done" in capsys.readouterr().out
    del asked[:]
    asked += ["-"] * 4
    assert go() == 0
    assert "task.pick_cube.seed0" not in asked
    assert len(json.loads((tmp_path / "results" / "rl.json").read_text())["tasks"]) == 2


def test_bad_arguments_and_recipes_are_named(recipes_file, tmp_path, capsys):
    assert bench.main(["--cells", "nothing"], recipes_file, tmp_path, tmp_path) == 2
    assert "no cell matches 'nothing'" in capsys.readouterr().err
    assert bench.main([], tmp_path / "none.yaml", tmp_path, tmp_path) == 2
    assert "cannot be read" in capsys.readouterr().err
