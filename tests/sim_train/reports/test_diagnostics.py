"""Diagnostics that follow from records."""

import numpy as np
import pytest
from made_runs import rl_record
from policy_api.intervals import wilson_interval

from sim_train.reports.diagnostics import RL_PANELS, complete, complete_all, finite, group_interval, levels, of_task


def test_shares_and_rates_follow_from_counts():
    full = complete(rl_record(2, faults=10), wanted_groups=4, episodes_before=40)
    assert (full["mixed_share"], full["failed_share"], full["succeeded_share"]) == (0.6, 0.2, 0.2)
    assert full["oversample"] == 1.25
    assert full["fault_rate"] == 0.2  # 10 of 50 attempts
    assert full["episodes_per_s"] == 5.0


def test_what_is_not_known_is_left_out():
    full = complete(rl_record(7, groups=0), wanted_groups=None, episodes_before=None)
    assert not {"mixed_share", "oversample", "fault_rate", "episodes_per_s"} & full.keys()


def test_each_record_counts_its_own_episodes():
    records = complete_all([rl_record(1), rl_record(2, episodes=120)], 4)
    assert [record["episodes_per_s"] for record in records] == [5.0, 10.0]


def test_numbers_that_are_not_finite_become_none():
    assert finite({"a": float("nan"), "b": float("inf"), "c": 1.0, "d": "text"}) == {
        "a": None,
        "b": None,
        "c": 1.0,
        "d": "text",
    }


def test_every_panel_shows_something_of_a_complete_record():
    full = complete(
        rl_record(1, validation_s=1.0, anchor_loss=0.1, explained_variance=0.5, value_error=0.2, greedy_success=0.4),
        4,
        0,
    )
    assert (full["steps_per_s"], full["train_gap"]) == (50.0, pytest.approx(0.1))
    for panel in RL_PANELS:
        assert all(curve.key in full for curve in panel.curves), panel.title


def test_an_interval_of_groups_that_agree_is_that_of_so_many_trials():
    assert group_interval([1.0, 0.0, 1.0, 1.0], size=8) == wilson_interval(3, 4)  # a group says no more than an episode
    assert group_interval([1.0] * 5, size=8) == wilson_interval(5, 5)


def test_an_interval_of_independent_episodes_is_wilsons():
    rates = np.random.default_rng(0).binomial(8, 0.3, 4000) / 8
    low, high = group_interval(rates.tolist(), size=8)
    expected = wilson_interval(round(rates.mean() * 32000), 32000)
    assert (low, high) == pytest.approx(expected, abs=5e-4)


def test_an_interval_covers_the_truth_when_groups_differ():
    rng = np.random.default_rng(1)
    hits = naive = 0
    for _ in range(400):
        rates = rng.binomial(8, rng.beta(0.5, 0.5, 36)) / 8  # mean 0.5, starts are easy or hard
        low, high = group_interval(rates.tolist(), size=8)
        hits += low <= 0.5 <= high
        plain = wilson_interval(round(rates.sum() * 8), 36 * 8)
        naive += plain[0] <= 0.5 <= plain[1]
    assert hits / 400 == pytest.approx(0.95, abs=0.03)
    assert naive / 400 < 0.75  # episodes as independent trials would claim too much


def test_no_group_is_refused():
    with pytest.raises(ValueError, match="at least one group"):
        group_interval([], 8)


def test_one_task_of_several_is_read_as_a_run_of_its_own():
    record = rl_record(3, 0.5, tasks={"a": {"success": 0.2, "success_ci95": [0.1, 0.3]}, "b": {"success": 0.8}})
    record["greedy_tasks"] = {"a": {"success": 0.4, "success_ci95": [0.3, 0.5]}}
    assert of_task([rl_record(2), record], "a") == [
        {"update": 3, "success": 0.2, "success_ci95": [0.1, 0.3], "greedy_success": 0.4, "greedy_ci95": [0.3, 0.5]}
    ]
    assert of_task([record], "b")[0]["greedy_success"] is None
    assert of_task([record], "c") == []


def test_levels_of_a_curriculum():
    record = rl_record(2, levels={"a": {"level": 0.5, "spread": 0.75}})
    assert levels([rl_record(1), record]) == [{"update": 2, "a": 0.5}]
