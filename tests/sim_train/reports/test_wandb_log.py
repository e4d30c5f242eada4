"""Metrics to Weights & Biases, which a stand-in with the same signatures plays."""

import importlib.util
import io

import pytest
from made_runs import config_of, rl_record
from rich.console import Console

from sim_train.algorithms.parallel import GradientThreads
from sim_train.config import from_plain
from sim_train.reports.wandb_log import ReportConfig, WandbLog, WandbMissingError, opened_log
from sim_train.stages.run import Run


class Wandb:
    """The module and its run."""

    def __init__(self):
        self.began, self.axes, self.logged, self.finished = [], {}, [], 0

    def init(self, entity=None, project=None, dir=None, id=None, name=None, notes=None, config=None, resume=None):
        self.began.append({"project": project, "dir": dir, "id": id, "name": name, "config": config, "resume": resume})
        return self

    def define_metric(self, name, step_metric=None, step_sync=None, hidden=None, summary=None):
        self.axes[name] = step_metric

    def log(self, data, step=None, commit=None):
        self.logged.append(data)

    def finish(self, exit_code=None, quiet=None):
        self.finished += 1


@pytest.fixture
def log(tmp_path):
    wandb = Wandb()
    return wandb, WandbLog(wandb, "arms", tmp_path / "a" / "run", config_of(0, 1e-3))


def test_the_run_is_named_and_found_again(log, tmp_path):
    wandb, first = log
    first.close()
    WandbLog(wandb, "arms", tmp_path / "a" / "run", config_of(0, 1e-3))
    WandbLog(wandb, "arms", tmp_path / "a" / "other", config_of(0, 1e-3))
    assert [begun["name"] for begun in wandb.began] == ["a/run", "a/run", "a/other"]
    assert wandb.began[0]["id"] == wandb.began[1]["id"] != wandb.began[2]["id"]
    assert (wandb.began[0]["project"], wandb.began[0]["resume"]) == ("arms", "allow")
    assert wandb.began[0]["config"]["task"] == "pick_cube"
    assert wandb.axes == {"sft/*": "sft/step", "rl/*": "rl/update"}
    assert wandb.finished == 1


def test_records_are_complete_and_flat(log):
    wandb, mine = log
    write = mine.writer("rl")
    write(rl_record(1, tasks={"a": {"success": 0.25, "success_ci95": [0.2, 0.3]}}))
    write(rl_record(2, episodes=120, entropy=float("nan")))
    first, second = wandb.logged
    assert (first["rl/update"], first["rl/mixed_share"], first["rl/episodes_per_s"]) == (1.0, 0.6, 5.0)
    assert (first["rl/tasks/a/success"], first["rl/tasks/a/success_ci95_high"]) == (0.25, 0.3)
    assert second["rl/episodes_per_s"] == 10.0
    assert "rl/entropy" not in second
    mine.writer("sft")({"step": 20, "imitation_loss": 0.5})
    assert wandb.logged[-1] == {"sft/step": 20.0, "sft/imitation_loss": 0.5}


def test_a_run_tells_it_what_it_writes(log, tmp_path):
    wandb, mine = log
    config = from_plain({"output_dir": str(tmp_path / "run"), "task": "reach_target"})
    with GradientThreads(1) as threads:
        run = Run(config, None, threads, Console(file=io.StringIO()), log=mine)
        run.metrics("sft").write({"step": 20, "imitation_loss": 0.5})
    assert wandb.logged == [{"sft/step": 20.0, "sft/imitation_loss": 0.5}]
    assert (tmp_path / "run" / "metrics" / "sft.jsonl").read_text() == '{"step": 20, "imitation_loss": 0.5}\n'


def test_nothing_is_opened_unless_asked_for(tmp_path):
    with opened_log(ReportConfig(), tmp_path / "run", {}) as log:
        assert log is None
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(importlib.util.find_spec("wandb") is not None, reason="wandb is installed")
def test_a_missing_package_is_named(tmp_path):
    with pytest.raises(WandbMissingError, match="pip install wandb"), opened_log(ReportConfig("arms"), tmp_path, {}):
        pass
