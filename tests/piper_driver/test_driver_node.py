"""The driver as a real process: rclpy on one side, an arm on CAN frames on the other."""

import os
import re
import signal
import socket
import time

import numpy as np
import pytest
from can_arm import CHANNEL, CanArm
from diagnostic_msgs.msg import DiagnosticArray
from motion_control import Chunk
from piper_description import HOME_POSITION
from piper_driver.conversions import trajectory_from_chunk, values_from_diagnostics
from piper_driver.status import DriverStatus
from sensor_msgs.msg import JointState
from std_msgs.msg import String
from std_srvs.srv import SetBool, Trigger
from trajectory_msgs.msg import JointTrajectory

ENTRY = "piper_driver.driver_node:main"
PATIENT = {"feedback_hold_s": 1.0, "feedback_fault_s": 2.0, "tracking_error_rad": 1.0, "late_ticks_to_hold": 1000}
"""On a busy machine the arm of these tests, a thread, may stand still for a while."""
START_S = 40.0
START = HOME_POSITION + np.array([0.3, 0, 0, 0, 0, 0, -0.02])


class Rig:
    """A driver process, its arm, and this test's view of its topics."""

    def __init__(self, ros, arm):
        from node_runtime.qos import LATCHED, RELIABLE

        self.ros, self.arm = ros, arm
        self.bus = {"can_interface": "udp_multicast", "can_channel": CHANNEL, "can_port": arm.port}
        self.modes, self.joints, self.setpoints, self.statuses, self.diagnostics = [], [], [], [], {}
        node = ros.node
        node.create_subscription(String, "/piper_driver/mode", lambda m: self.modes.append(m.data), LATCHED)
        node.create_subscription(JointState, "/joint_states", self.joints.append, RELIABLE)
        node.create_subscription(JointState, "/piper_driver/setpoint", self.setpoints.append, RELIABLE)
        node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, RELIABLE)
        node.create_subscription(String, "/piper_driver/status", self._on_status, LATCHED)
        self.chunks = node.create_publisher(JointTrajectory, "/piper_driver/chunk", RELIABLE)
        self.start()

    def start(self, **parameters):
        self.process = self.ros.start(ENTRY, **{**PATIENT, **self.bus, "stale_timeout_s": 0.3, **parameters})

    def _on_status(self, message):
        self.statuses.append(DriverStatus.from_json(message.data))

    def _on_diagnostics(self, message):
        self.diagnostics = values_from_diagnostics(message)

    @property
    def mode(self):
        return self.modes[-1] if self.modes else ""

    def wait_for_mode(self, text, timeout_s=25.0):
        self.ros.wait(lambda: self.mode.startswith(text), timeout_s, what=f"mode {text}; it is {self.mode}")

    def call(self, name, kind=Trigger, **fields):
        client = self.ros.node.create_client(kind, f"/piper_driver/{name}")
        self.ros.wait(client.service_is_ready, what=f"service {name}")
        future = client.call_async(kind.Request(**fields))
        self.ros.wait(future.done, what=f"answer of {name}")
        self.ros.node.destroy_client(client)
        return future.result()

    def to_hold(self):
        self.wait_for_mode("DISABLED", START_S)
        self.ros.wait(lambda: self.joints, what="joint states")
        self.ros.wait(lambda: self.statuses and not self.statuses[-1].not_ready, what="an arm that is ready")
        answer = self.call("enable", SetBool, data=True)
        assert answer.success, answer.message
        self.wait_for_mode("HOLD")
        self.ros.wait(lambda: self.setpoints, what="setpoints")

    def to_policy(self):
        self.to_hold()
        assert self.call("policy", SetBool, data=True).success
        self.ros.wait(lambda: self.chunks.get_subscription_count() > 0, what="chunk subscriber")

    def chunk(self, offsets, step_s=0.1, after_s=0.0):
        now = time.monotonic_ns()
        times = now + ((np.arange(1, len(offsets) + 1) * step_s + after_s) * 1e9).astype(np.int64)
        position = np.array(self.setpoints[-1].position) + np.array(offsets)[:, None] * np.eye(7)[0]
        return trajectory_from_chunk(Chunk(now, times, position))


@pytest.fixture
def arm():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("", 0))
        port = free.getsockname()[1]
    made = CanArm(port, START)
    yield made
    made.close()


@pytest.fixture
def rig(ros, arm):
    return Rig(ros, arm)


def assert_targets_within_limits(arm):
    targets = arm.targets()
    steps = np.diff(targets, axis=0)
    assert len(targets) > 20
    assert np.abs(steps).max() <= 3.0 * 0.005 + 1e-4
    assert np.abs(np.diff(steps, axis=0)).max() <= 5.0 * 0.005**2 + 1e-4


def test_a_chunk_moves_the_arm_and_silence_ends_in_hold(rig):
    rig.to_policy()
    assert np.allclose(rig.setpoints[0].position, START, atol=2e-5), "the first setpoint is the measured pose"
    assert np.allclose(rig.joints[-1].position, START, atol=2e-5)
    rig.chunks.publish(rig.chunk([0.05, 0.1]))
    rig.wait_for_mode("HOLD: no new chunk for 0.3")
    rig.ros.wait(lambda: abs(rig.joints[-1].position[0] - START[0] - 0.1) < 1e-3, what="joint 1 at its waypoint")
    assert rig.arm.torque_on and not rig.arm.was_told_to_drop()
    assert_targets_within_limits(rig.arm)
    rig.ros.wait(lambda: rig.diagnostics.get("chunks_accepted") == "1", what="diagnostics")
    assert rig.diagnostics["firmware"] == "S-V1.8-5" and rig.diagnostics["bus_errors"] == "0"
    assert float(rig.diagnostics["mean_hz"]) > 150


def test_a_chunk_that_is_not_finite_is_refused_and_moves_nothing(rig):
    rig.to_policy()
    bad = rig.chunk([0.05, 0.1])
    bad.points[1].positions[2] = float("nan")
    rig.chunks.publish(bad)
    rig.ros.wait(lambda: rig.diagnostics.get("chunks_refused") == "1", what="the refusal in diagnostics")
    assert "not finite" in rig.diagnostics["last_refusal"]
    assert np.ptp(rig.arm.targets(), axis=0).max() == 0.0
    rig.chunks.publish(rig.chunk([0.05]))
    rig.ros.wait(lambda: rig.joints[-1].position[0] > START[0] + 0.049, what="the next good chunk to be played")


def test_sigterm_in_motion_brings_the_arm_to_rest_with_torque_on(rig):
    rig.to_policy()
    rig.chunks.publish(rig.chunk([0.1, 0.2, 0.3, 0.4]))
    rig.ros.wait(lambda: rig.setpoints[-1].velocity[0] > 0.5, what="motion")
    began = time.monotonic()
    assert rig.process.signal_and_wait(signal.SIGTERM) == 0
    assert time.monotonic() - began < 1.5
    time.sleep(0.05)
    targets = rig.arm.targets()[:, 0]
    assert rig.arm.torque_on and not rig.arm.was_told_to_drop()
    assert abs(targets[-1] - targets[-2]) < 5.0 * 0.005**2 + 1e-4, "the last target stands still"
    assert_targets_within_limits(rig.arm)
    assert "chunks: 1 played, 0 refused" in rig.process.text()


def test_sigint_while_disabled_exits_with_zero(rig):
    rig.wait_for_mode("DISABLED", START_S)
    began = time.monotonic()
    assert rig.process.signal_and_wait(signal.SIGINT) == 0
    assert time.monotonic() - began < 1.0
    assert re.search(r"loop: \d+\.\d Hz over \d+ ticks, \d+ overruns; lateness p50", rig.process.text())


def test_a_second_driver_on_the_same_channel_is_refused(rig):
    rig.wait_for_mode("DISABLED", START_S)
    first = rig.process
    rig.start()
    assert rig.process.process.wait(START_S) == 2
    assert f"already driven by process {first.process.pid}" in rig.process.text()
    assert first.process.poll() is None


def test_a_killed_driver_leaves_the_arm_held_and_the_next_takes_over_without_a_step(rig):
    rig.to_policy()
    rig.chunks.publish(rig.chunk([0.1, 0.2]))
    rig.ros.wait(lambda: rig.setpoints[-1].velocity[0] > 0.3, what="motion")
    os.kill(rig.process.process.pid, signal.SIGKILL)
    rig.process.process.wait(5)
    rig.ros.spin_for(0.2)
    assert rig.arm.torque_on
    stands = rig.arm.position.copy()
    rig.setpoints.clear()
    rig.start(auto_enable=True)
    rig.ros.wait(lambda: rig.setpoints, START_S, what="setpoints of the new driver")
    rig.wait_for_mode("HOLD")
    assert np.abs(np.array(rig.setpoints[0].position) - stands).max() < 1e-4


def test_services_say_what_happened_and_why_not(rig):
    rig.to_hold()
    answer = rig.call("clear_fault")
    assert not answer.success and "needs mode ESTOP or FAULT" in answer.message
    assert rig.call("home").success
    rig.wait_for_mode("HOLD: at home")
    assert np.allclose(rig.setpoints[-1].position, HOME_POSITION, atol=1e-4)
    assert rig.call("estop").success
    rig.wait_for_mode("ESTOP")
    answer = rig.call("policy", SetBool, data=True)
    assert not answer.success and "clear the e-stop first" in answer.message
    answer = rig.call("enable", SetBool, data=False)
    assert not answer.success
    assert rig.arm.torque_on
    assert rig.call("clear_fault").success
    rig.wait_for_mode("HOLD")
    assert rig.call("hold").success
    answer = rig.call("enable", SetBool, data=False)
    assert answer.success and not rig.arm.torque_on
    rig.wait_for_mode("DISABLED")


def test_a_silent_arm_becomes_a_fault(rig):
    rig.to_hold()
    rig.arm.silent = True
    rig.wait_for_mode("FAULT: no feedback from the arm")
    rig.ros.wait(lambda: rig.statuses[-1].fault == "feedback-silent" and rig.statuses[-1].remedy, what="the fault's id")
    rig.arm.silent = False
    rig.ros.spin_for(0.2)
    assert rig.call("clear_fault").success
    rig.wait_for_mode("HOLD")


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        ({"can_interface": "telepathy"}, "telepathy"),
        ({"stale_timeout_s": 0.0}, "stale_timeout_s is 0.0; expected"),
        ({"can_port": "abc"}, "can_port"),
    ],
)
def test_wrong_parameters_are_refused_by_name(ros, parameters, text):
    process = ros.start(ENTRY, **parameters)
    assert process.process.wait(START_S) == 2
    assert text in process.text()
