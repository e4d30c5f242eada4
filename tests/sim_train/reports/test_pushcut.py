"""Successes in a way that no demonstration shows."""

import json

import pytest
from policy_api.intervals import wilson_interval

from sim_train.reports.pushcut import Share, compare, pushcuts
from sim_train.reports.results import HELD_OUT, TRAINING, gaps, success_of
from sim_train.reports.runs import DEMONSTRATIONS, STRATEGIES, read_run


def seeds(**counts):
    """So many seeds by strategy; "failed" ones without."""
    names = [None if name == "failed" else name for name, count in counts.items() for _ in range(count)]
    return {str(seed): name for seed, name in enumerate(names)}


def test_only_what_no_demonstration_does_is_new():
    played = {
        DEMONSTRATIONS: seeds(carried=99, pushed=1, failed=5),
        "rl": seeds(carried=10, pushed=6, thrown=4, failed=3),
    }
    found = compare("run", "pick_cube", played)
    assert found.new == ("thrown",)
    assert found.new_share == Share(4, 20)
    assert found.new_share.interval == wilson_interval(4, 20)
    assert list(found.strategies) == ["carried", "pushed", "thrown"]
    assert found.strategies["pushed"] == {DEMONSTRATIONS: Share(1, 100), "rl": Share(6, 20)}
    assert found.missed == pytest.approx(0.037, abs=1e-3)


def test_without_demonstrations_nothing_is_said_to_be_new():
    for shown in ({}, {DEMONSTRATIONS: seeds(failed=3)}):
        found = compare("run", "pick_cube", {**shown, "rl": seeds(pushed=3)})
        assert found.new_share is None and found.new == ()


def test_without_a_success_there_is_no_share():
    found = compare("run", "pick_cube", {DEMONSTRATIONS: seeds(carried=3), "rl": seeds(failed=2)})
    assert found.new_share == Share(0, 0)
    assert found.new_share.interval is None


@pytest.fixture
def played_run(tmp_path, make_run):
    root = make_run(tmp_path / "train")
    played = {
        "demonstrations": ({"noise": 0.03}, seeds(carried=20)),
        "sft": ({"revision": "sfttrain"}, seeds(carried=5, failed=15)),
        "rl": ({"revision": "rltrain"}, seeds(carried=5, pushed=10, failed=5)),
        "rl_train": ({"revision": "rltrain"}, seeds(pushed=20)),
    }
    (root / STRATEGIES).mkdir(parents=True)
    for who, (made_of, found) in played.items():
        text = json.dumps({"made_of": made_of, "tasks": {"pick_cube": found}})
        (root / STRATEGIES / f"{who}.json").write_text(text)
    return root


def test_a_run_that_was_played_again(played_run):
    run = read_run(played_run)
    (found,) = pushcuts(run)
    assert (found.task, found.new, found.new_share) == ("pick_cube", ("pushed",), Share(10, 15))
    successes = success_of(run)
    rates = {(s.stage, s.measured): s.rate for s in successes if s.measured in (HELD_OUT, TRAINING)}
    assert rates == {("sft", HELD_OUT): 0.25, ("rl", HELD_OUT): 0.75, ("rl", TRAINING): 1.0}
    (gap,) = [gap for gap in gaps(successes) if gap.measured == TRAINING]
    assert gap.difference == pytest.approx(0.25)
    assert gap.interval[0] < 0.25 < gap.interval[1]


def test_what_other_weights_played_does_not_count(played_run):
    manifest = json.loads((played_run / "rl" / "manifest.json").read_text())
    (played_run / "rl" / "manifest.json").write_text(json.dumps(manifest | {"weights_sha256": "new"}))
    assert pushcuts(read_run(played_run)) == []
    assert set(read_run(played_run).strategies) == {"demonstrations", "sft"}
