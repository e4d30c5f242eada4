"""`--engine ray` as a program."""

import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest
from policy_api.client import PolicyClient
from policy_api.images import encode_jpeg
from policy_api.schema import EncodedImage, Observation

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

COMMAND = [sys.executable, "-m", "policy_server", "--engine", "ray", "--replicas", "1", "--address", "127.0.0.1:0"]


def test_program_serves_and_leaves_nothing_behind():
    process = subprocess.Popen([*COMMAND, "--backend", "scripted:hold"], stdout=subprocess.PIPE, text=True)
    try:
        line = next(line for line in process.stdout if "ready on" in line)
        address = re.search(r"ready on (\S+): model scripted", line)[1]
        frame = EncodedImage("jpeg", 320, 240, encode_jpeg(np.zeros((240, 320, 3), np.uint8), 90), 0)
        state = np.array([0, 1, -1, 0, 0, 0, 0.04], np.float32)
        with PolicyClient(address, "robot") as client:
            client.open_session(timeout_s=60)
            chunk = client.infer(Observation(state, {"front": frame}, "hold", 0, 0), 60)
        np.testing.assert_allclose(chunk.actions[:, 3], 0.04, atol=1e-6)
        family = psutil.Process(process.pid).children(recursive=True)
        assert family
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=120)
    assert process.returncode == 0
    until = time.monotonic() + 60
    while [child for child in family if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]:
        assert time.monotonic() < until, "processes of the cluster are left"
        time.sleep(0.2)


def test_what_cannot_be_loaded_is_named():
    ended = subprocess.run(
        [*COMMAND, "--backend", "scripted:fly"], capture_output=True, text=True, timeout=300, env=os.environ
    )
    assert ended.returncode == 1
    assert "policy_server: the built-in motions: there is no motion 'fly'; known are hold, wave, sweep" in ended.stderr
