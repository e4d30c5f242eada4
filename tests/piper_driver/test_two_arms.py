"""Two drivers from the command line, a namespace each: lifecycle, teleop, chunks for both, and the model."""

import socket
import subprocess
import sys
import time
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from can_arm import CHANNEL as ADDRESS
from can_arm import CanArm
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from motion_control import Chunk
from node_runtime.qos import LATCHED, LATEST, RELIABLE
from node_runtime.ros_time import to_stamp
from piper_description import HOME_POSITION, JOINT_NAMES
from piper_driver.conversions import joint_state, trajectory_from_chunk
from piper_driver.status import DriverStatus
from ros_helpers import NodeProcess
from sensor_msgs.msg import JointState
from std_msgs.msg import String
from std_srvs.srv import SetBool, Trigger
from trajectory_msgs.msg import JointTrajectory

WAIT_S = 40.0
PATIENT = ["feedback_hold_s:=1.0", "feedback_fault_s:=2.0", "tracking_error_rad:=1.0", "late_ticks_to_hold:=1000"]


class DriverCommand(NodeProcess):
    """`python -m piper_driver` with its output in a file."""

    def __init__(self, arm, port, log, env):
        command = [sys.executable, "-m", "piper_driver", "--interface", "udp_multicast", "--channel", ADDRESS]
        command += ["--port", str(port), "--arm", arm, "--ros-args", "-p", "autostart:=false"]
        for parameter in PATIENT:
            command += ["-p", parameter]
        self.log = log
        with log.open("w") as output:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT, env=env, text=True
            )


class Side:
    """One arm, its driver, and what the driver tells."""

    def __init__(self, ros, name):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
            free.bind(("", 0))
            port = free.getsockname()[1]
        self.ros, self.name = ros, name
        self.names = [f"{name}_{joint}" for joint in JOINT_NAMES]
        self.arm = CanArm(port, HOME_POSITION)
        self.driver = DriverCommand(name, port, ros.tmp_path / f"{name}.log", ros.env)
        ros.processes.append(self.driver)
        self.joints, self.statuses, self.models = [], [], []
        node = ros.node
        node.create_subscription(JointState, f"/{name}/joint_states", self.joints.append, RELIABLE)
        node.create_subscription(String, f"/{name}/piper_driver/status", self._on_status, LATCHED)
        node.create_subscription(String, f"/{name}/robot_description", self.models.append, LATCHED)
        self.chunks = node.create_publisher(JointTrajectory, f"/{name}/piper_driver/chunk", RELIABLE)
        self.teleop = node.create_publisher(JointState, f"/{name}/piper_driver/teleop_command", LATEST)

    def _on_status(self, message):
        self.statuses.append(DriverStatus.from_json(message.data))

    def call(self, name, kind=Trigger, **fields):
        client = self.ros.node.create_client(kind, f"/{self.name}/piper_driver/{name}")
        self.ros.wait(client.service_is_ready, WAIT_S, what=f"service {name}")
        future = client.call_async(kind.Request(**fields))
        self.ros.wait(future.done, WAIT_S, what=f"answer of {name}")
        self.ros.node.destroy_client(client)
        return future.result()

    def change(self, transition):
        return self.call("change_state", ChangeState, transition=Transition(id=transition)).success

    def wait_for(self, mode, reason=""):
        self.ros.wait(
            lambda: self.statuses and self.statuses[-1].mode == mode and reason in self.statuses[-1].reason,
            WAIT_S,
            what=f"{self.name} in {mode} {reason}; it is {self.statuses[-1:]}",
        )


@pytest.fixture
def sides(ros):
    made = [Side(ros, "left"), Side(ros, "right")]
    yield made
    for side in made:
        side.arm.close()


def to_hold(side):
    assert side.call("get_state", GetState).current_state.id == State.PRIMARY_STATE_UNCONFIGURED
    answer = side.call("enable", SetBool, data=True)
    assert not answer.success and "the driver is unconfigured" in answer.message
    assert side.change(Transition.TRANSITION_CONFIGURE)
    side.ros.wait(lambda: side.joints and side.statuses and not side.statuses[-1].not_ready, WAIT_S, what="the arm")
    assert not side.call("enable", SetBool, data=True).success, "inactive: it hears, but moves nothing"
    assert side.change(Transition.TRANSITION_ACTIVATE)
    assert side.call("enable", SetBool, data=True).success
    side.wait_for("HOLD")


def test_two_arms_from_the_same_code(ros, sides):
    left, right = sides
    for side in sides:
        to_hold(side)
        assert list(side.joints[-1].name) == side.names
        assert ET.fromstring(side.models[-1].data).get("name") == f"{side.name}_piper"

    for side in sides:
        assert side.call("policy", SetBool, data=True).success
        ros.wait(lambda side=side: side.chunks.get_subscription_count() > 0, WAIT_S, what="chunk subscriber")
    now = time.monotonic_ns()
    goals = np.concatenate([HOME_POSITION, HOME_POSITION])
    goals[0], goals[7] = 0.05, -0.05
    both = trajectory_from_chunk(
        Chunk(now, np.array([now + 500_000_000]), HOME_POSITION[None]), [*left.names, *right.names]
    )
    both.points[0].positions = goals.tolist()
    for side in sides:
        side.chunks.publish(both)
    ros.wait(lambda: left.joints[-1].position[0] > 0.049, WAIT_S, what="the left arm at its goal")
    ros.wait(lambda: right.joints[-1].position[0] < -0.049, WAIT_S, what="the right arm at its goal")

    # a person takes over; 50 ms without a command end it
    assert left.call("teleop", SetBool, data=True).success
    hand = np.array(left.joints[-1].position)
    for _ in range(60):
        hand[0] -= 0.001
        left.teleop.publish(joint_state(to_stamp(time.monotonic_ns()), hand, np.zeros(7), left.names))
        ros.spin_for(0.01)
    left.wait_for("HOLD", "teleop was silent for")
    assert left.joints[-1].position[0] < 0.0495 and right.joints[-1].position[0] < -0.049

    # an inactive driver holds; what cuts the torque is asked for twice
    assert right.change(Transition.TRANSITION_DEACTIVATE)
    right.wait_for("HOLD", "deactivated")
    assert right.arm.torque_on
    assert left.call("park").success
    answer = left.call("reset_drops_arm")
    assert not answer.success and "THE ARM WILL DROP" in answer.message
    assert not left.arm.was_told_to_drop() and not right.arm.was_told_to_drop()
