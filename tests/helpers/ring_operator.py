"""A person at the ring's controls: watches the robot's topics and calls its services."""

import numpy as np
import pytest
from node_runtime.payloads import RunnerStatus, from_json
from node_runtime.qos import LATCHED, RELIABLE
from piper_description import HOME_POSITION
from sensor_msgs.msg import JointState
from std_msgs.msg import String
from std_srvs.srv import SetBool, Trigger


class Operator:
    """Watches the robot's topics and calls its services."""

    def __init__(self, ros):
        self.ros = ros
        self.mode = ""
        self.runner = None
        self.position = None
        node = ros.node
        node.create_subscription(String, "/piper_driver/mode", self._on_mode, LATCHED)
        node.create_subscription(String, "/policy_runner/status", self._on_runner, RELIABLE)
        node.create_subscription(JointState, "/joint_states", self._on_joints, RELIABLE)
        self.instruction = node.create_publisher(String, "/policy_runner/instruction", LATCHED)

    def _on_mode(self, message):
        self.mode = message.data.split(":")[0]

    def _on_runner(self, message):
        self.runner = from_json(RunnerStatus, message.data)

    def _on_joints(self, message):
        self.position = np.array(message.position)

    def call(self, kind, name, request):
        client = self.ros.node.create_client(kind, name)
        self.ros.wait(client.service_is_ready, 20, name)
        future = client.call_async(request)
        self.ros.wait(future.done, 20, f"an answer of {name}")
        self.ros.node.destroy_client(client)
        assert future.result().success, f"{name}: {future.result().message}"
        return future.result().message

    def run_policy(self):
        """Start a run and wait until it has moved the arm twice; a busy machine may need more than one attempt."""
        for _ in range(4):
            run = self._start_run()
            playing = self.runner.run == run and self.runner.chunks >= 2
            if playing and self.runner.state == "running":
                return
        pytest.fail(f"no run played two chunks: {self.runner.reason}")

    def _start_run(self):
        """Home, authority to the policy, and a run that has played two chunks or has ended; its number."""
        self.ros.wait(lambda: self.mode in ("HOLD", "POLICY"), 30, "torque")
        self.call(Trigger, "/piper_driver/hold", Trigger.Request())
        self.call(Trigger, "/piper_driver/home", Trigger.Request())
        self.ros.wait(lambda: np.abs(self.position[:6] - HOME_POSITION[:6]).max() < 0.03, 20, "home")
        self.ros.spin_for(0.5)
        self.instruction.publish(String(data="pick up the red cube"))
        self.call(SetBool, "/piper_driver/policy", SetBool.Request(data=True))
        self.ros.wait(lambda: self.mode == "POLICY", 5, "POLICY")
        run = int(self.call(SetBool, "/policy_runner/run", SetBool.Request(data=True)).split()[-1])
        self.ros.wait(
            lambda: (
                self.runner is not None
                and self.runner.run == run
                and (self.runner.chunks >= 2 or self.runner.state != "running")
            ),
            30,
            "two chunks",
        )
        return run

    def assert_held(self, lab):
        """HOLD soon, then standing still with torque on."""
        self.ros.wait(lambda: self.mode == "HOLD", 4, "HOLD")
        self.ros.spin_for(1.0)
        before = self.position
        self.ros.spin_for(1.0)
        np.testing.assert_allclose(self.position, before, atol=1e-3)
        assert lab.truth().torque_on
