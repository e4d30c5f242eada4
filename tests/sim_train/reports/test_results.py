"""Success in figures."""

import pytest
from made_runs import rate

from sim_train.reports.results import (
    HELD_OUT,
    SAMPLED,
    VALIDATION,
    Success,
    gaps,
    kinds_of,
    median_and_range,
    success_of,
)
from sim_train.reports.runs import read_run


def test_success_of_a_finished_run(tmp_path, make_run, evaluate_run):
    root = make_run(tmp_path / "train")
    evaluate_run(root)
    rows = [(s.stage, s.measured, s.rate, s.episodes) for s in success_of(read_run(root))]
    assert rows == [
        ("sft", HELD_OUT, 0.5, 200),
        ("sft", VALIDATION, 0.6, 200),
        ("rl", HELD_OUT, 0.9, 200),
        ("rl", VALIDATION, 0.95, 200),
        ("rl", f"{SAMPLED}, update 4", 0.48, 40),
    ]


def test_success_of_every_task_of_a_policy(tmp_path, make_run, evaluate_run):
    root = make_run(tmp_path / "train")
    evaluate_run(root)
    run = read_run(root)
    each = {"pick_cube": rate(90, 100, 0.83, 0.94), "click_bell": rate(60, 100, 0.5, 0.69)}
    run.records["rl"]["validation"]["greedy"]["tasks"] = each
    for evaluation in run.evaluations:
        evaluation.result.update({"task": "pick_cube+click_bell", "tasks": each})
    found = success_of(run)
    rows = [(s.task, s.rate, s.interval, s.episodes) for s in found if (s.stage, s.measured) == ("rl", HELD_OUT)]
    assert rows == [
        ("pick_cube+click_bell", 0.9, pytest.approx((0.85, 0.95)), 200),
        ("pick_cube", 0.9, (0.83, 0.94), 100),
        ("click_bell", 0.6, (0.5, 0.69), 100),
    ]
    assert [s.task for s in found if (s.stage, s.measured) == ("rl", VALIDATION)][1:] == ["pick_cube", "click_bell"]
    assert {(gap.stage, gap.task) for gap in gaps(found)} >= {("rl", "pick_cube"), ("rl", "click_bell")}


def test_success_of_a_run_that_goes_on_is_its_latest(tmp_path, make_run):
    rows = success_of(read_run(make_run(tmp_path / "train", finished=False)))
    latest = next(row for row in rows if row.measured == f"{VALIDATION}, update 4")
    assert (latest.rate, latest.interval, latest.episodes) == (0.9, (0.85, 0.94), 200)


def test_a_run_that_goes_on_tells_the_latest_of_every_task(tmp_path, make_run):
    run = read_run(make_run(tmp_path / "train", finished=False))
    run.rl[-1]["tasks"] = {"a": {"success": 0.25, "success_ci95": [0.1, 0.4], "groups": 5}}
    run.rl[-1]["greedy_tasks"] = {"a": rate(30, 100, 0.2, 0.4)}
    rows = [(s.measured, s.rate, s.episodes) for s in success_of(run) if s.task == "a"]
    assert rows == [(f"{VALIDATION}, update 4", 0.3, 100), (f"{SAMPLED}, update 4", 0.25, 40)]


def test_the_gap_has_newcombes_interval():
    # Newcombe 1998, table II, method 10: 56/70 less 48/80 has the interval 0.0524..0.3339
    validation = Success("r", "t", "rl", VALIDATION, 56 / 70, (0.6918, 0.8769), 70)
    held_out = Success("r", "t", "rl", HELD_OUT, 48 / 80, (0.4904, 0.7004), 80)
    (gap,) = gaps([validation, held_out])
    assert gap.difference == pytest.approx(0.2)
    assert gap.interval == pytest.approx((0.0524, 0.3339), abs=2e-4)
    assert gaps([validation]) == []


def test_runs_that_differ_in_their_seed_are_of_one_kind(tmp_path, make_run):
    roots = [make_run(tmp_path / f"s{seed}", seed) for seed in (0, 1)] + [make_run(tmp_path / "b", 0, 5e-4)]
    kinds = kinds_of([read_run(root) for root in roots])
    assert [len(kind.runs) for kind in kinds] == [2, 1]
    assert [kind.label for kind in kinds] == ["rl.update.learning_rate=0.001", "rl.update.learning_rate=0.0005"]
    assert kinds_of([read_run(roots[0])])[0].label == "all runs"


def test_median_and_range():
    assert median_and_range([3.0, 1.0, 9.0]) == (3.0, 1.0, 9.0)
    assert median_and_range([]) is None
