"""The command, and a real run that it is given."""

import dataclasses
import io
import json

import pytest
from rich.console import Console
from tiny_model import TINY
from toy_env import ToyEnv

from sim_train.algorithms.parallel import GradientThreads
from sim_train.checkpoint import save_policy
from sim_train.config import from_plain
from sim_train.report import main
from sim_train.reports.diagnostics import RL_PANELS
from sim_train.reports.runs import read_run
from sim_train.rollouts.episodes import play_episodes
from sim_train.rollouts.players import PolicyPlayer
from sim_train.rollouts.pool import PlayReport
from sim_train.stages.reinforce import reinforce
from sim_train.stages.run import Run

STEPS = "Control steps a second"  # which the toy environment does not count


@pytest.fixture
def run(tmp_path):
    (tmp_path / "run" / "metrics").mkdir(parents=True)
    lines = [{"step": 20 * i, "imitation_loss": 1.0 / i, "target_error_mm": 50.0} for i in (1, 2)]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (tmp_path / "run" / "metrics" / "sft.jsonl").write_text(text)
    return tmp_path / "run"


def test_the_page_goes_into_the_run_or_where_it_is_wanted(run, tmp_path, capsys):
    assert main([str(run)]) == 0
    assert "Imitation" in (run / "report.html").read_text()
    assert main([str(run), str(run), "--output", str(tmp_path / "x" / "page.html")]) == 0
    assert "1 run," in (tmp_path / "x" / "page.html").read_text()  # the same directory counts once
    assert str(tmp_path / "x" / "page.html") in capsys.readouterr().out


def test_what_is_no_run_ends_with_a_message(tmp_path, capsys):
    assert main([str(tmp_path)]) == 1
    assert "holds no training run" in capsys.readouterr().err


class HerePool:
    """A worker pool that plays in this process."""

    def set_policy(self, policy, version):
        self.policy, self.version = policy, version

    def play(self, jobs, task, seed):
        player = PolicyPlayer(self.policy, task.temperature)
        played, faults = play_episodes(ToyEnv(8, margin=0.02), player, jobs, self.version, seed)
        return played, PlayReport(1.0, faults, 0)


def test_a_real_run_has_every_diagnostic_and_a_page(tmp_path, tiny_policy):
    plain = {
        "output_dir": str(tmp_path / "toy"),
        "task": "toy",
        "policy": {"sizes": dataclasses.asdict(TINY)},
        "rl": {
            "sampling": {"groups": 4, "group_size": 4},
            "update": {"minibatches": 2, "temperature": 2.0},
            "validate_every": 1,
            "validation_episodes": 8,
            "stop_at": 2.0,
            "max_updates": 2,
            "min_start": 0.0,
        },
    }
    with GradientThreads(1) as threads:
        run = Run(from_plain(plain), HerePool(), threads, Console(file=io.StringIO()))
        record = {"stage": "sft", "config": dataclasses.asdict(run.config)}
        save_policy(run.checkpoint("sft"), tiny_policy.eval(), record)
        reinforce(run)
    seen = read_run(tmp_path / "toy")
    assert seen.status == "finished: max_updates is reached"
    last = seen.rl[-1]
    for panel in RL_PANELS:
        if panel.title not in ("Anchor", "Critic", "Weight of older trajectories", "Executor violations", STEPS):
            assert all(last.get(curve.key) is not None for curve in panel.curves), panel.title
    for rate, interval in (("success", "success_ci95"), ("greedy_success", "greedy_ci95")):
        assert last[interval][0] <= last[rate] <= last[interval][1]
    assert last["greedy_episodes"] == 8
    assert 0 < last["validation_s"] < last["seconds"]
    assert 0.0 <= last["staleness"] <= 1.0
    assert main([str(tmp_path / "toy")]) == 0
    assert "max_updates is reached" in (tmp_path / "toy" / "report.html").read_text()
