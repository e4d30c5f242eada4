"""Training that is killed, terminated or interrupted, and goes on."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from toy_training import DEATHS, STEPS, UPDATES

from sim_train.checkpoint import load_policy, read_manifest
from sim_train.reports.progress import MetricsFile

HERE = Path(__file__).parent


@pytest.fixture
def start():
    """Starts a training in a session of its own; what still runs at the end of the test is killed."""
    started = []

    def run(root, moment=""):
        process = subprocess.Popen(
            [sys.executable, str(HERE / "toy_training.py"), str(root), moment],
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        for left in session(process):
            left.kill()
        process.wait()
        process.stdout.close()


def session(process):
    """What runs of the processes that a training started, itself included."""

    def runs(other):
        try:
            return os.getsid(other.pid) == process.pid and other.status() != psutil.STATUS_ZOMBIE
        except (ProcessLookupError, psutil.NoSuchProcess):
            return False

    return [other for other in psutil.process_iter() if runs(other)]


def wait_until(process, ready):
    """The process must not end before."""
    while not ready():
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.01)


def finish(process):
    """Exit status and all that was told, when the last of its processes has ended."""
    told, _ = process.communicate()
    while session(process):  # a worker that outlives its trainer runs into the test's time limit
        time.sleep(0.01)
    return process.returncode, told


def lines(root, stage):
    return MetricsFile(root / "metrics" / f"{stage}.jsonl").read()


def curve(root, stage):
    """The lines without what depends on the machine and its load."""

    def measured(name):
        return name in ("seconds", "cores_busy", "restarts") or name.endswith("_s")

    return [{name: v for name, v in record.items() if not measured(name)} for record in lines(root, stage)]


def saved(root, stage, name):
    """How far the saved state is; -1 without one."""
    try:
        return json.loads((root / "state" / stage / "state.json").read_text())["values"][name]
    except FileNotFoundError:
        return -1


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_run_killed_again_and_again_ends_where_an_uninterrupted_one_does(start, tmp_path):
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    code, told = finish(start(straight))
    assert code == 0, told
    for moment in DEATHS:
        made = len(lines(killed, "rl")), saved(killed, "sft", "step")
        code, told = finish(start(killed, moment))
        assert code == -signal.SIGKILL, f"{moment}: {told}"
        if not (killed / "rl").exists():  # of what was done one step or update is lost at most
            assert saved(killed, "rl", "version") >= max(made[0], len(lines(killed, "rl"))) - 1, moment
        if not (killed / "sft").exists():
            assert saved(killed, "sft", "step") >= made[1], moment
    code, told = finish(start(killed))
    assert code == 0, told

    for stage, length in (("sft", STEPS // 20), ("rl", UPDATES)):
        assert len(curve(straight, stage)) == length
        assert curve(killed, stage) == curve(straight, stage)
        ours, theirs = (load_policy(root / stage).state_dict() for root in (killed, straight))
        for name, value in theirs.items():
            np.testing.assert_array_equal(ours[name].numpy(), value.numpy(), err_msg=f"{stage} {name}")
    assert read_manifest(killed / "rl")["record"]["rig"]["name"] == "default"

    def files(root):
        return sorted(str(path.relative_to(root)) for path in root.rglob("*"))

    assert files(killed) == files(straight)  # nothing half-done lies about


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_saves_and_ends_with_a_status_of_its_own(start, tmp_path, number, status):
    process = start(tmp_path, "endless")
    wait_until(process, lambda: saved(tmp_path, "sft", "step") >= 1)
    process.send_signal(number)
    code, told = finish(process)
    assert code == status, told
    assert "start again with the same command" in told
    assert saved(tmp_path, "sft", "step") >= 1


def test_ctrl_c_twice_ends_at_once(start, tmp_path):
    """In the middle of a step that would go on for ever."""
    process = start(tmp_path, "hold")
    wait_until(process, (tmp_path / "held").exists)
    process.send_signal(signal.SIGINT)
    wait_until(process, (tmp_path / "asked").exists)
    process.send_signal(signal.SIGINT)
    code, told = finish(process)
    assert code == 130, told
    assert "ended at once" in told
    assert saved(tmp_path, "sft", "step") == 4  # what was saved last
