"""Killing the policy server in mid-episode leaves the arm in HOLD; the episode resumes when the server is back."""

import signal

from ring_operator import Operator
from virtual_lab.client import LabClient


def test_an_episode_outlives_its_server(ring):
    server, launch = ring.start_server(), ring.start_lab()
    operator = Operator(ring.operator)
    lab = LabClient(ring.control_address)
    lab.wait_ready(30)

    operator.run_policy()
    run = operator.runner.run
    server.kill()
    ring.operator.wait(lambda: operator.runner.state == "waiting", 10, "the runner's word that it waits")
    operator.assert_held(lab)
    before = operator.runner.chunks
    assert before >= 2

    ring.start_server()
    ring.operator.wait(lambda: operator.mode == "POLICY", 20, "POLICY")
    ring.operator.wait(lambda: operator.runner.chunks > before, 20, "another chunk of the same run")
    assert operator.runner.run == run

    launch.send_signal(signal.SIGINT)
    assert launch.wait(20) == 0, ring.log("lab")
    lab.close()
