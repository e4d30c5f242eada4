"""Whole trainings: two processes with shards, as torchrun starts them, against one without."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sim_train.checkpoint import load_policy
from sim_train.scale.config import ScaleConfig
from sim_train.scale.team import TeamError, team_of

SCRIPT = str(Path(__file__).with_name("sharded_toy.py"))


def trained(command, out):
    done = subprocess.run(
        [sys.executable, *command],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    curves = {
        stage: [json.loads(line) for line in (out / "metrics" / f"{stage}.jsonl").read_text().splitlines()]
        for stage in ("sft", "rl")
    }
    return curves, done.stdout


@pytest.mark.slow
def test_two_processes_train_as_one_does(tmp_path):
    alone, _ = trained([SCRIPT, str(tmp_path / "alone"), "fsdp=false"], tmp_path / "alone")
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", SCRIPT]
    both, said = trained([*launch, str(tmp_path / "both"), "fsdp=true"], tmp_path / "both")
    assert said.count("done in") == 1  # one process speaks
    for one, two in zip(alone["sft"], both["sft"], strict=True):
        assert one["imitation_loss"] == pytest.approx(two["imitation_loss"], abs=1e-4)
    assert len(both["rl"]) == 2
    for key in ("success", "entropy", "greedy_success", "grad_norm"):
        assert alone["rl"][0][key] == pytest.approx(both["rl"][0][key], abs=1e-3)
    assert both["rl"][0]["first_ratio_error"] < 1e-3
    rng = np.random.default_rng(0)
    seen = (
        {"front": rng.integers(0, 255, (4, 16, 16, 3), dtype=np.uint8)},
        np.zeros((4, 7), np.float32),
        ["go left"] * 4,
    )
    one, two = (load_policy(tmp_path / name / "sft") for name in ("alone", "both"))
    np.testing.assert_allclose(one.act(*seen).log_probs, two.act(*seen).log_probs, atol=1e-3)
    assert load_policy(tmp_path / "both" / "rl").act(*seen).actions.shape == (4, 2, 4)


@pytest.mark.parametrize(
    ("environment", "fsdp", "says"),
    [({}, True, "torchrun --nproc_per_node"), ({"LOCAL_RANK": "0", "WORLD_SIZE": "2"}, False, r"add scale\.fsdp=true")],
)
def test_processes_that_do_not_fit_the_settings(monkeypatch, environment, fsdp, says):
    for name in ("LOCAL_RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(TeamError, match=says), team_of(ScaleConfig(device="cpu", fsdp=fsdp), 1):
        pass
