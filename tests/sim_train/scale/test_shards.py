"""Two processes with half of the weights each learn what one process learns."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from sim_train.algorithms.parallel import GradientThreads

sys.path.insert(0, str(Path(__file__).parent))

from sharded_run import SETTINGS, train


@pytest.fixture(scope="module")
def sharded(tmp_path_factory):
    """What both processes told and ended with, by settings and process."""
    out = tmp_path_factory.mktemp("shards")
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    script = Path(__file__).with_name("sharded_run.py")
    done = subprocess.run(
        [sys.executable, *command, str(script), str(out)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=150,
    )
    assert done.returncode == 0, done.stderr
    return {
        (*settings, rank): (
            json.loads((out / f"{settings[0]}-{settings[1]}-{rank}.json").read_text()),
            load_file(out / f"{settings[0]}-{settings[1]}-{rank}.safetensors"),
        )
        for settings in SETTINGS
        for rank in (0, 1)
    }


@pytest.mark.parametrize("settings", SETTINGS)
def test_two_processes_learn_what_one_learns(sharded, settings):
    with GradientThreads(1, settings[1]) as threads:
        alone, trainee, answers = train(False, threads, settings[0])
    plain = trainee.plain().state_dict()
    assert alone["losses"][-1] < 0.8 * alone["losses"][0]
    for rank in (0, 1):
        told, weights = sharded[(*settings, rank)]
        torch.testing.assert_close(told["losses"], alone["losses"], atol=1e-4, rtol=0)
        torch.testing.assert_close(told["norms"], alone["norms"], atol=1e-3, rtol=1e-4)
        torch.testing.assert_close(weights.pop("answers"), answers, atol=1e-3, rtol=0)
        assert weights.keys() == plain.keys()
        for name, weight in weights.items():
            torch.testing.assert_close(weight, plain[name], atol=1e-3, rtol=0)


@pytest.mark.parametrize("settings", SETTINGS)
def test_each_process_keeps_half_and_takes_it_up_again(sharded, settings):
    told = [sharded[(*settings, rank)][0] for rank in (0, 1)]
    assert sum(one["shard"] for one in told) == told[0]["whole"]
    assert max(one["shard"] for one in told) < 0.6 * told[0]["whole"]
    assert all(one["restored"] for one in told)
