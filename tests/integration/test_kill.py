"""Killing the policy server or the policy runner in mid-episode leaves the arm standing in HOLD with torque on."""

import signal

import numpy as np
import psutil
from node_runtime.payloads import RunnerStatus, from_json
from node_runtime.qos import LATCHED, RELIABLE
from piper_description import HOME_POSITION
from sensor_msgs.msg import JointState
from std_msgs.msg import String
from std_srvs.srv import SetBool, Trigger
from trajectory_msgs.msg import JointTrajectory
from virtual_lab.client import LabClient


class Operator:
    """Watches the robot's topics and calls its services."""

    def __init__(self, ros):
        self.ros = ros
        self.mode = ""
        self.chunks = 0
        self.runner = ""
        self.position = None
        node = ros.node
        node.create_subscription(String, "/piper_driver/mode", self._on_mode, LATCHED)
        node.create_subscription(String, "/policy_runner/status", self._on_runner, RELIABLE)
        node.create_subscription(JointState, "/joint_states", self._on_joints, RELIABLE)
        node.create_subscription(JointTrajectory, "/piper_driver/chunk", self._on_chunk, RELIABLE)
        self.instruction = node.create_publisher(String, "/policy_runner/instruction", LATCHED)

    def _on_mode(self, message):
        self.mode = message.data.split(":")[0]

    def _on_runner(self, message):
        self.runner = from_json(RunnerStatus, message.data).state

    def _on_joints(self, message):
        self.position = np.array(message.position)

    def _on_chunk(self, _message):
        self.chunks += 1

    def call(self, kind, name, request):
        client = self.ros.node.create_client(kind, name)
        self.ros.wait(client.service_is_ready, 20, name)
        future = client.call_async(request)
        self.ros.wait(future.done, 20, f"an answer of {name}")
        self.ros.node.destroy_client(client)
        assert future.result().success, f"{name}: {future.result().message}"

    def run_policy(self):
        """Home, authority to the policy, and wait until it moves the arm."""
        self.ros.wait(lambda: self.mode in ("HOLD", "POLICY"), 30, "torque")
        self.call(Trigger, "/piper_driver/hold", Trigger.Request())
        self.call(Trigger, "/piper_driver/home", Trigger.Request())
        self.ros.wait(lambda: np.abs(self.position[:6] - HOME_POSITION[:6]).max() < 0.03, 20, "home")
        self.ros.spin_for(0.5)
        self.instruction.publish(String(data="pick up the red cube"))
        self.call(SetBool, "/piper_driver/policy", SetBool.Request(data=True))
        self.ros.wait(lambda: self.mode == "POLICY", 5, "POLICY")
        before = self.chunks
        self.call(SetBool, "/policy_runner/run", SetBool.Request(data=True))
        self.ros.wait(lambda: self.chunks >= before + 2, 20, "two chunks")

    def assert_held(self, lab):
        """HOLD soon, then standing still with torque on."""
        self.ros.wait(lambda: self.mode == "HOLD", 4, "HOLD")
        self.ros.spin_for(1.0)
        before = self.position
        self.ros.spin_for(1.0)
        np.testing.assert_allclose(self.position, before, atol=1e-3)
        assert lab.truth().torque_on


def child(parent, name):
    found = [
        p for p in psutil.Process(parent.pid).children(recursive=True) if any(name in word for word in p.cmdline())
    ]
    assert len(found) == 1, f"{len(found)} processes called {name}"
    return found[0]


def test_killing_server_or_runner_ends_in_hold(ring):
    server, launch = ring.start_server(), ring.start_lab()
    operator = Operator(ring.operator)
    lab = LabClient(ring.control_address)
    lab.wait_ready(30)

    operator.run_policy()
    server.kill()
    operator.assert_held(lab)
    ring.operator.wait(lambda: operator.runner == "failed", 5, "the runner's word that it failed")

    ring.start_server()
    operator.run_policy()
    runner = child(launch, "policy_runner_node")
    runner.kill()
    operator.assert_held(lab)

    operator.run_policy()  # the supervisor has started another one
    assert child(launch, "policy_runner_node").pid != runner.pid

    launch.send_signal(signal.SIGINT)
    assert launch.wait(20) == 0, ring.log("lab")
    lab.close()
