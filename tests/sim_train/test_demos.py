"""The demonstrations command, from the shell and inside."""

import io
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from rich.console import Console

from sim_train.config import ConfigError
from sim_train.datasets.demonstrations import DemonstrationSet
from sim_train.demos import DemosConfig, record_demos


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    output = tmp_path_factory.mktemp("demos") / "set"
    config = DemosConfig(task="pick_cube", n=12, output=str(output), workers=1, envs_per_worker=16, noise=0.01)
    return record_demos(config, Console(file=io.StringIO()))


def test_episodes_of_the_real_task(recorded):
    episodes = DemonstrationSet.open(recorded.directory).load()
    assert len(episodes) == 12
    assert episodes.images["front"].shape[1:] == (64, 64, 3)
    assert episodes.images["front"].std() > 10
    assert all("cube" in text or "block" in text for text in episodes.instructions)
    origin = json.loads((recorded.directory / "index.json").read_text())["origin"]
    assert (origin["task"], origin["engine"], origin["split"]) == ("pick_cube", "mujoco", "train")
    assert origin["spec"]["task"] == "pick_cube"


@pytest.mark.slow
def test_killed_from_outside_the_same_command_goes_on(recorded, tmp_path):
    """With two workers instead of one, killed without a chance to tidy up: the same episodes."""
    settings = ["task=pick_cube", "n=12", "noise=0.01", "workers=2", "envs_per_worker=4", f"output={tmp_path / 'set'}"]
    process = subprocess.Popen(
        [sys.executable, "-m", "sim_train.demos", *settings], stdout=subprocess.PIPE, start_new_session=True, text=True
    )
    lock = tmp_path / "set" / ".recording"
    deadline = time.monotonic() + 120
    while not lock.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(2.0)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=30)
    command = [sys.executable, "-m", "sim_train.demos", *settings]
    done = subprocess.run(command, capture_output=True, text=True, timeout=170, check=False)
    assert done.returncode == 0, done.stderr
    assert "12 successful episodes" in done.stdout
    again = DemonstrationSet.open(tmp_path / "set").load().arrays()
    for name, array in recorded.load().arrays().items():
        np.testing.assert_array_equal(array, again[name], err_msg=name)


def test_ctrl_c_says_how_to_go_on(tmp_path):
    settings = ["task=pick_cube", "n=500", "workers=1", "envs_per_worker=8", f"output={tmp_path / 'set'}"]
    process = subprocess.Popen(
        [sys.executable, "-m", "sim_train.demos", *settings], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None
    assert "demos: 0/500" in process.stdout.readline()
    os.killpg(process.pid, signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted: 0 of 500" in said


def test_two_arms_randomised_cameras_of_any_size(tmp_path):
    config = DemosConfig(
        task="lift_pot",
        n=2,
        output=str(tmp_path / "set"),
        workers=1,
        envs_per_worker=4,
        image_size=84,
        randomization={"table": {"height_m": 0.01}},
    )
    episodes = record_demos(config, Console(file=io.StringIO())).load()
    assert episodes.state.shape[1] == 14
    assert episodes.actions.shape[1:] == (4, 8)
    assert episodes.images["front"].shape[1:] == (84, 84, 3)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"n": 0}, "n must"),
        ({"noise": -0.1}, "noise"),
        ({"engine": "bullet"}, "engine must be one of mujoco"),
        ({"cameras": []}, "at least one camera"),
        ({"cameras": ["front", "front"]}, "each once"),
        ({"cameras": ["rear"]}, "no camera 'rear'"),
        ({"task": "pick_cub"}, "unknown task"),
        ({"output": ""}, "output"),
        ({"rollout": {"engine": "local", "pace": 1}}, "unknown setting rollout.pace"),
        ({"randomization": {"tables": {}}}, "tables is unknown"),
    ],
)
def test_mistakes_are_named(tmp_path, changes, said):
    config = DemosConfig(**{"task": "pick_cube", "output": str(tmp_path / "set"), **changes})
    with pytest.raises((ConfigError, ValueError), match=said):
        record_demos(config, Console(file=io.StringIO()))
    assert not (tmp_path / "set").exists()


def test_a_task_must_be_named():
    command = [sys.executable, "-m", "sim_train.demos", "randomization=mild"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=170, check=False)
    assert done.returncode == 2
    assert "say which task" in done.stderr
