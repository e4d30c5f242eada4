"""Training that is killed, terminated or interrupted, and goes on."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from sim_train.checkpoint import load_policy, read_manifest
from sim_train.reports.progress import MetricsFile

HERE = Path(__file__).parent


def start(root):
    environment = {**os.environ, "PYTHONPATH": str(HERE)}
    return subprocess.Popen(
        [sys.executable, str(HERE / "toy_training.py"), str(root)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process):
    told, _ = process.communicate(timeout=170)
    return process.returncode, told


def lines(root, stage):
    return MetricsFile(root / "metrics" / f"{stage}.jsonl").read()


def curve(root, stage):
    def timed(name):
        return name in ("seconds", "cores_busy") or name.endswith("_s")

    return [{name: v for name, v in record.items() if not timed(name)} for record in lines(root, stage)]


def step(root, stage, name):
    """How far the saved state is; -1 without one."""
    try:
        return json.loads((root / "state" / stage / "state.json").read_text())["values"][name]
    except FileNotFoundError:
        return -1


def reached(process, ready):
    """Wait until the run is so far; it must not end before."""
    while not ready():
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.01)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_run_killed_again_and_again_ends_where_an_uninterrupted_one_does(tmp_path):
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    code, told = finish(start(straight))
    assert code == 0, told
    moments = [
        lambda: step(killed, "sft", "step") >= 1,
        lambda: step(killed, "sft", "step") >= 50,
        lambda: len(lines(killed, "rl")) >= 1,
        lambda: len(lines(killed, "rl")) >= 12,
    ]
    rng = random.Random(time.time_ns())
    for i, ready in enumerate(moments):
        process = start(killed)
        reached(process, ready)
        time.sleep(rng.uniform(0.0, 0.2))
        workers = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        process.communicate()
        _, left = psutil.wait_procs(workers, timeout=30)
        assert not left, "workers outlive a trainer that is killed"
        if i == 3:
            assert step(killed, "rl", "version") >= 1  # it does not begin anew
    with (killed / "metrics" / "rl.jsonl").open("a") as file:
        file.write('{"update": 14, "torn')
    code, told = finish(start(killed))
    assert code == 0, told

    for stage in ("sft", "rl"):
        assert curve(killed, stage) == curve(straight, stage)
        ours, theirs = (load_policy(root / stage).state_dict() for root in (killed, straight))
        for name, value in theirs.items():
            np.testing.assert_array_equal(ours[name].numpy(), value.numpy(), err_msg=f"{stage} {name}")
        assert not (killed / "state" / stage).exists()
    numbers = [record["update"] for record in lines(killed, "rl")]
    assert numbers == list(range(1, 21))
    assert read_manifest(killed / "rl")["record"]["rig"]["name"] == "default"


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_saves_and_ends_with_a_status_of_its_own(tmp_path, number, status):
    process = start(tmp_path)
    reached(process, lambda: step(tmp_path, "sft", "step") >= 1)
    process.send_signal(number)
    code, told = finish(process)
    assert code == status, told
    assert "start again with the same command" in told
    assert step(tmp_path, "sft", "step") >= 1


def test_ctrl_c_twice_ends_at_once(tmp_path, monkeypatch):
    """In the middle of a step that would go on for long."""
    process = start(tmp_path)
    reached(process, lambda: step(tmp_path, "sft", "step") >= 1)
    worker = psutil.Process(process.pid).children(recursive=True)
    for child in worker:
        child.suspend()  # so that the next validation never ends
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    began = time.monotonic()
    code, told = finish(process)
    assert code == 130, told
    assert time.monotonic() - began < 20
