"""A policy without a settling time moves the whole robot without a pause: asked, answered and merged while it plays."""

import json
import time

import numpy as np
import pytest
import yaml
from piper_description.kinematics import tcp_position
from ring_operator import Operator
from virtual_lab.client import LabClient

from policy_server.backends.scripted import CONTRACT

AMPLITUDE_M, PERIOD_S = 0.02, 2.5
STEPS, STEP_S = 16, 0.05


@pytest.fixture
def wave(tmp_path):
    """A motion of the tool, up and down, in chunks of 0.8 s that want no pause between them."""
    contract = json.loads(CONTRACT.read_text()) | {"horizon": STEPS, "dt_s": STEP_S, "settle_s": 0.0}
    (tmp_path / "contract.json").write_text(json.dumps(contract))
    a_step = AMPLITUDE_M * 2 * np.pi * STEP_S / PERIOD_S
    motion = {"kind": "wave", "action": "dz", "amplitude": float(a_step), "period_s": PERIOD_S}
    path = tmp_path / "motions.yaml"
    path.write_text(yaml.safe_dump({"contract": "contract.json", "motions": {"up_and_down": motion}}))
    return f"scripted:{path}#up_and_down"


def test_the_arm_moves_on_while_the_policy_is_asked(ring, wave):
    ring.start_server(wave)
    ring.start_lab()
    operator = Operator(ring.operator)
    with LabClient(ring.control_address) as lab:
        lab.wait_ready(30)
        operator.run_policy()
        run, chunks, until = operator.runner.run, operator.runner.chunks, time.monotonic() + 4 * PERIOD_S
        times, heights = [], []
        while time.monotonic() < until:
            ring.operator.spin_for(0.02)
            times.append(time.monotonic())
            heights.append(tcp_position(operator.position[:6])[2])
            assert (operator.mode, operator.runner.run) == ("POLICY", run), operator.runner.reason
        played = operator.runner.chunks - chunks
    # A question every half chunk; a chunk after the other would be half as many.
    assert played > 0.7 * 4 * PERIOD_S / (STEPS / 2 * STEP_S), f"{played} chunks, {operator.runner.late} late"
    heights = np.array(heights)
    assert np.ptp(heights) == pytest.approx(2 * AMPLITUDE_M, rel=0.3)
    speed = np.abs(np.gradient(np.convolve(heights, np.ones(5) / 5, "valid"), np.array(times[2:-2])))
    top = AMPLITUDE_M * 2 * np.pi / PERIOD_S
    assert (speed < 0.1 * top).mean() < 0.25, "it stands still more than a sine does at its ends"
