"""Killing the policy runner in mid-episode leaves the arm standing in HOLD with torque on."""

import signal

import psutil
from ring_operator import Operator
from virtual_lab.client import LabClient


def child(parent, name):
    found = [
        p for p in psutil.Process(parent.pid).children(recursive=True) if any(name in word for word in p.cmdline())
    ]
    assert len(found) == 1, f"{len(found)} processes called {name}"
    return found[0]


def test_killing_the_runner_ends_in_hold(ring):
    ring.start_server()
    launch = ring.start_lab()
    operator = Operator(ring.operator)
    lab = LabClient(ring.control_address)
    lab.wait_ready(30)

    operator.run_policy()
    runner = child(launch, "policy_runner_node")
    runner.kill()
    operator.assert_held(lab)

    operator.runner = None
    ring.operator.wait(lambda: operator.runner is not None, 30, "the word of the runner that was started instead")
    assert child(launch, "policy_runner_node").pid != runner.pid
    operator.run_policy()

    launch.send_signal(signal.SIGINT)
    assert launch.wait(20) == 0, ring.log("lab")
    lab.close()
