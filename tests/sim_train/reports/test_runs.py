"""Reading runs, whole ones and others."""

import json

import pytest
from made_runs import GROUPS, SIZE, config_of, rl_record

from sim_train.reports.runs import RunError, flat, read_lines, read_run


def test_a_finished_run(tmp_path, make_run, evaluate_run):
    root = make_run(tmp_path / "train", seed=3)
    evaluate_run(root)
    run = read_run(root)
    assert (run.task, run.config["seed"], run.status) == ("pick_cube", 3, "finished: the budget is used up")
    assert [record["update"] for record in run.rl] == [1, 2, 3, 4]
    assert run.rl[0]["oversample"] == 5 / GROUPS
    assert len(run.sft) == 4
    assert [evaluation.stage for evaluation in run.evaluations] == ["sft", "rl"]


def test_evaluations_of_another_policy_are_not_taken(tmp_path, make_run, evaluate_run):
    evaluate_run(make_run(tmp_path / "train"))
    assert read_run(make_run(tmp_path / "other")).evaluations == []


def test_a_run_that_goes_on_and_is_writing_a_line(tmp_path, make_run):
    root = make_run(tmp_path / "train", finished=False)
    with (root / "metrics" / "rl.jsonl").open("a") as file:
        file.write('{"update": 5, "epis')
    run = read_run(root)
    assert len(run.rl) == 4
    assert run.status == "not finished; its last line of metrics is 0 min old"


def test_a_run_in_its_first_stage_tells_its_settings_by_its_state(tmp_path):
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics" / "sft.jsonl").write_text('{"step": 20, "imitation_loss": 1.0}\n')
    assert read_run(tmp_path).config == {}
    assert read_run(tmp_path).task == "unknown"
    (tmp_path / "state" / "sft").mkdir(parents=True)
    state = {"values": {"fingerprint": config_of(0, 1e-3)}}
    (tmp_path / "state" / "sft" / "state.json").write_text(json.dumps(state))
    assert read_run(tmp_path).task == "pick_cube"


def test_curves_of_a_checkpoint_serve_when_metrics_are_gone(tmp_path, make_run):
    root = make_run(tmp_path / "train")
    (root / "metrics" / "rl.jsonl").unlink()
    manifest = json.loads((root / "rl" / "manifest.json").read_text())
    manifest["record"]["curve"] = [rl_record(1)]
    (root / "rl" / "manifest.json").write_text(json.dumps(manifest))
    assert [record["update"] for record in read_run(root).rl] == [1]


def test_what_is_no_run_or_damaged_is_named(tmp_path, make_run):
    with pytest.raises(RunError, match=r"holds no training run.*output_dir"):
        read_run(tmp_path)
    root = make_run(tmp_path / "train")
    path = root / "metrics" / "rl.jsonl"
    path.write_text('{"update": 1}\nnonsense\n{"update": 3}\n')
    with pytest.raises(RunError, match=r"rl\.jsonl, line 2 is not JSON"):
        read_lines(path)
    path.write_text("[1]\n")
    with pytest.raises(RunError, match="no JSON object"):
        read_lines(path)
    (root / "rl" / "manifest.json").write_text("{")
    with pytest.raises(RunError, match=r"manifest\.json is not JSON"):
        read_run(root)
    (root / "rl" / "manifest.json").write_text("{}")
    with pytest.raises(RunError, match="no 'record'"):
        read_run(root)


def test_settings_by_dotted_names():
    assert flat({"a": {"b": 1, "c": {}}, "d": [2]}) == {"a.b": 1, "a.c": {}, "d": [2]}
    assert flat(config_of(0, 1e-3))["rl.sampling.group_size"] == SIZE
