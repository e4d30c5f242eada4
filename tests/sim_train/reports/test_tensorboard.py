"""Event files."""

import sys

import pytest

from sim_train.reports.runs import read_run
from sim_train.reports.tensorboard import TensorBoardMissingError, scalars, write_events


def test_every_number_with_its_step(tmp_path, make_run):
    found = list(scalars(read_run(make_run(tmp_path / "train"))))
    assert ("sft/imitation_loss", 2.0, 20) in found
    assert ("rl/mixed_share", 0.6, 3) in found
    assert ("rl/greedy_ci95_high", 0.94, 4) in found
    assert len({(name, step) for name, _, step in found}) == len(found)
    assert not any(name == "rl/update" for name, _, _ in found)


def test_figures_of_tasks_are_numbers_of_their_own(tmp_path, make_run):
    run = read_run(make_run(tmp_path / "train"))
    run.rl[-1]["tasks"] = {"pick_cube": {"success": 0.25, "success_ci95": [0.2, 0.3]}}
    found = list(scalars(run))
    assert ("rl/tasks/pick_cube/success", 0.25, 4) in found
    assert ("rl/tasks/pick_cube/success_ci95_high", 0.3, 4) in found


def test_a_missing_package_is_named(tmp_path, make_run, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    monkeypatch.delitem(sys.modules, "torch.utils.tensorboard", raising=False)
    with pytest.raises(TensorBoardMissingError, match="pip install tensorboard"):
        write_events(read_run(make_run(tmp_path / "train")))
    assert not (tmp_path / "train" / "tensorboard").exists()


def test_event_files_hold_the_metrics(tmp_path, make_run):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = read_run(make_run(tmp_path / "train"))
    write_events(run)
    folder = write_events(run)  # anew, not twice
    assert len(list(folder.iterdir())) == 1
    events = EventAccumulator(str(folder))
    events.Reload()
    assert [(e.step, e.value) for e in events.Scalars("rl/max_ratio_error")] == [(i, 2.0) for i in range(1, 5)]
