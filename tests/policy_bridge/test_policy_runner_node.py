"""The policy runner's process between a real policy server and a driver and camera played by the test."""

import signal
import subprocess
import sys
import time
from dataclasses import dataclass

import numpy as np
import pytest
import wire_server
from bridge_specs import make_spec
from node_runtime.payloads import RunnerStatus, from_json
from node_runtime.qos import LATCHED, RELIABLE
from node_runtime.ros_time import to_monotonic_ns, to_stamp
from piper_description import HOME_POSITION, JOINT_NAMES, tcp_pose
from policy_api.images import encode_jpeg
from sensor_msgs.msg import CompressedImage, JointState
from std_msgs.msg import String
from std_srvs.srv import SetBool, Trigger
from trajectory_msgs.msg import JointTrajectory

from policy_server.fixed_hub import FixedHub
from policy_server.server import PolicyServer, ServerConfig

ENTRY = "policy_bridge.policy_runner_node:main"
LEAD_S, DT_S, SETTLE_S, HORIZON = 0.02, 0.05, 0.1, 4
JPEG = encode_jpeg(np.full((48, 64, 3), 90, dtype=np.uint8), 90)


@dataclass
class Output:
    actions: np.ndarray


class Downward:
    """A policy that goes down by five millimetres a step."""

    revision = "f" * 64

    def __init__(self, spec=None):
        self.spec = spec or make_spec()
        self.delay_s = 0.01
        self.first_value = 0.0
        self.seen: list[tuple[np.ndarray, str]] = []

    def act(self, images, state, instructions, temperature=0.0):
        assert images["front"].shape == (len(state), 32, 32, 3)
        self.seen.append((state[0].copy(), instructions[0]))
        time.sleep(self.delay_s)
        actions = np.tile(np.array([0.0, 0.0, -0.005, 0.03], dtype=np.float32), (len(state), HORIZON, 1))
        actions[:, 0, 0] = self.first_value
        return Output(actions)


class FakeArm:
    """What the runner sees of a driver and a camera; it follows a chunk by jumping to its last waypoint."""

    def __init__(self, ros):
        self.ros = ros
        node = ros.node
        self.q = np.array(HOME_POSITION, dtype=np.float64)
        self.camera_on = True
        self.holds = 0
        self.chunks: list[tuple[int, JointTrajectory]] = []
        self.said: list[RunnerStatus] = []
        self.mode = node.create_publisher(String, "/piper_driver/mode", LATCHED)
        self.instruction = node.create_publisher(String, "/policy_runner/instruction", LATCHED)
        self.joints = node.create_publisher(JointState, "/joint_states", RELIABLE)
        self.setpoint = node.create_publisher(JointState, "/piper_driver/setpoint", RELIABLE)
        self.image = node.create_publisher(CompressedImage, "/cameras/front/image/compressed", RELIABLE)
        node.create_subscription(JointTrajectory, "/piper_driver/chunk", self.on_chunk, RELIABLE)
        node.create_subscription(
            String, "/policy_runner/status", lambda m: self.said.append(from_json(RunnerStatus, m.data)), RELIABLE
        )
        node.create_service(Trigger, "/piper_driver/hold", self.on_hold)
        node.create_service(SetBool, "/piper_driver/policy", self.on_policy)
        self.run = node.create_client(SetBool, "/policy_runner/run")
        node.create_timer(0.005, self.publish_joints)
        node.create_timer(0.03, self.publish_image)

    def on_chunk(self, message):
        self.chunks.append((time.monotonic_ns(), message))
        self.q = np.array(message.points[-1].positions)

    def on_hold(self, _request, response):
        self.holds += 1
        self.mode.publish(String(data="HOLD: hold requested"))
        response.success = True
        return response

    def on_policy(self, _request, response):
        self.mode.publish(String(data="POLICY: policy has authority"))
        response.success = True
        return response

    def publish_joints(self):
        message = JointState(name=list(JOINT_NAMES), position=self.q.tolist())
        message.header.stamp = to_stamp(time.monotonic_ns())
        self.joints.publish(message)
        self.setpoint.publish(message)

    def publish_image(self):
        if self.camera_on:
            message = CompressedImage(format="jpeg", data=JPEG)
            message.header.stamp = to_stamp(time.monotonic_ns())
            self.image.publish(message)

    def ready(self):
        self.mode.publish(String(data="POLICY: policy has authority"))
        self.instruction.publish(String(data="push the red cube"))
        self.ros.wait(self.run.service_is_ready, what="/policy_runner/run")
        self.ros.wait(lambda: self.mode.get_subscription_count() and self.said, what="the runner's topics")
        self.ros.spin_for(0.1)

    def call_run(self, on=True):
        future = self.run.call_async(SetBool.Request(data=on))
        self.ros.wait(future.done, what="an answer of /policy_runner/run")
        return future.result()

    def wait_for(self, state, timeout_s=8.0):
        self.ros.wait(lambda: self.said and self.said[-1].state == state, timeout_s, f"state {state}")
        return self.said[-1]


@pytest.fixture
def policy():
    return Downward()


@pytest.fixture
def server(policy):
    server = PolicyServer(FixedHub([policy]), ServerConfig("127.0.0.1:0"))
    yield server
    server.stop()


def test_chunks_follow_each_other_in_time(ros, policy, server):
    arm = FakeArm(ros)
    process = ros.start(ENTRY, server_address=server.address, max_chunks=4)
    arm.ready()
    assert arm.call_run().success
    status = arm.wait_for("finished")
    assert status.reason == "all 4 chunks were played"
    assert (status.chunks, len(arm.chunks), status.revision) == (4, 4, policy.revision)
    assert status.contract["model"] == "scripted"
    assert len(status.infer_ms) == 4
    assert 10 < status.infer_p50_ms < 60
    assert {instruction for _, instruction in policy.seen[-4:]} == {"push the red cube"}
    ros.wait(lambda: arm.holds == 1, 1.0, what="hold")  # authority is given back at the end

    z = float(tcp_pose(np.array(HOME_POSITION)[:6])[2, 3])
    previous_end_ns, ways_ms = 0, []
    for received_ns, message in arm.chunks:
        stamp_ns = to_monotonic_ns(message.header.stamp)
        assert list(message.joint_names) == list(JOINT_NAMES)
        times = np.array([p.time_from_start.sec + p.time_from_start.nanosec * 1e-9 for p in message.points])
        np.testing.assert_allclose(np.diff(times), DT_S, atol=1e-6)
        published_ns = stamp_ns + round((times[0] - DT_S - LEAD_S) * 1e9)
        ways_ms.append((received_ns - published_ns) / 1e6)
        assert stamp_ns >= previous_end_ns - 1_000_000  # looked only after the last chunk had settled
        previous_end_ns = stamp_ns + round((times[-1] + SETTLE_S) * 1e9)
        for point in message.points:
            z -= 0.005
            np.testing.assert_allclose(tcp_pose(np.array(point.positions)[:6])[2, 3], z, atol=5e-4)
        np.testing.assert_allclose(message.points[0].positions[6], 0.03)
    assert np.median(ways_ms) < 20  # within the lead
    assert min(ways_ms) > 0
    looks_ms = np.array([to_monotonic_ns(message.header.stamp) for _, message in arm.chunks]) / 1e6
    # a look, an answer, no more: at most a camera period, the inference and the way to the driver in between
    assert np.median(np.diff(looks_ms)) < 1000 * (HORIZON * DT_S + SETTLE_S + LEAD_S) + 120
    assert process.signal_and_wait(signal.SIGINT) == 0


def test_dead_server_ends_in_hold(ros, policy, server):
    arm = FakeArm(ros)
    ros.start(ENTRY, server_address=server.address, server_wait_s=0.5)
    arm.ready()
    assert arm.call_run().success
    ros.wait(lambda: len(arm.chunks) == 2, what="two chunks")
    server.stop()
    status = arm.wait_for("failed")
    ros.wait(lambda: arm.holds == 1, 1.0, what="hold")
    assert "ServerUnavailable" in status.reason
    count = len(arm.chunks)
    ros.spin_for(0.5)
    assert len(arm.chunks) == count


def test_restarted_server_gets_a_new_session(ros, policy, server):
    arm = FakeArm(ros)
    ros.start(ENTRY, server_address=server.address, server_wait_s=0.0)
    arm.ready()
    assert arm.call_run().success
    ros.wait(lambda: arm.chunks, what="a chunk")
    server.stop()
    arm.wait_for("failed")
    second = PolicyServer(FixedHub([policy]), ServerConfig(server.address))
    try:
        ros.spin_for(0.6)  # the client connects again within half a second
        arm.ready()
        count = len(arm.chunks)
        assert arm.call_run().success
        ros.wait(lambda: len(arm.chunks) > count, what="a chunk from the second server")
    finally:
        second.stop()


def test_a_run_outlives_a_server_that_is_killed(ros, tmp_path):
    spec_file = tmp_path / "spec.json"
    spec_file.write_text(make_spec().to_json())

    def launch(address):
        command = [sys.executable, wire_server.__file__, address, spec_file]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        return process, process.stdout.readline().strip()

    def kill(process):
        process.kill()
        process.wait(10)
        process.stdout.close()

    process, address = launch("127.0.0.1:0")
    arm = FakeArm(ros)
    ros.start(ENTRY, server_address=address)
    arm.ready()
    assert arm.call_run().success
    ros.wait(lambda: arm.chunks, what="a chunk")
    kill(process)
    status = arm.wait_for("waiting")
    ros.wait(lambda: arm.holds == 1, 2.0, what="hold")
    assert "Unavailable" in status.reason
    assert "run 1 is in progress" in arm.call_run().message
    ros.spin_for(1.0)
    count = len(arm.chunks)
    assert arm.said[-1].state == "waiting"
    process, _ = launch(address)
    try:
        ros.wait(lambda: len(arm.chunks) > count, what="a chunk from the second server")
        ros.wait(lambda: arm.said[-1].chunks > count, what="the runner's word")
        assert (arm.said[-1].state, arm.said[-1].run, arm.said[-1].reason) == ("running", 1, "")
        assert arm.holds == 1
    finally:
        kill(process)


def test_hanging_server_is_noticed_by_the_deadline(ros, policy, server):
    arm = FakeArm(ros)
    ros.start(ENTRY, server_address=server.address, infer_timeout_s=0.3)
    arm.ready()
    assert arm.call_run().success
    ros.wait(lambda: arm.chunks, what="a chunk")
    policy.delay_s = 2.0
    status = arm.wait_for("waiting")
    assert "DeadlineExceeded" in status.reason
    ros.wait(lambda: arm.holds == 1, 1.0, what="hold")
    policy.delay_s = 0.01
    count = len(arm.chunks)
    ros.wait(lambda: len(arm.chunks) > count, what="a chunk from the server that hung")
    assert arm.said[-1].run == 1


def test_a_policy_without_settling_time_is_asked_while_its_chunk_is_played(ros):
    flowing = Downward(make_spec(settle_s=0.0, dt_s=0.1))
    server = PolicyServer(FixedHub([flowing]), ServerConfig("127.0.0.1:0"))
    try:
        arm = FakeArm(ros)
        ros.start(ENTRY, server_address=server.address, max_chunks=4, merge="replace")
        arm.ready()
        assert arm.call_run().success
        status = arm.wait_for("finished", 20.0)
    finally:
        server.stop()
    assert (status.chunks, status.late) == (4, 0)
    ends = [due_ns(message)[-1] for _, message in arm.chunks]
    came = [at for at, _ in arm.chunks]
    assert all(at < end for at, end in zip(came[1:], ends[:-1], strict=True)), "it waited for the end of a chunk"


def due_ns(message):
    """Monotonic times of a chunk's points."""
    begin_ns = to_monotonic_ns(message.header.stamp)
    return [begin_ns + p.time_from_start.sec * 10**9 + p.time_from_start.nanosec for p in message.points]


def test_actions_outside_the_contract_are_not_played(ros, policy, server):
    arm = FakeArm(ros)
    ros.start(ENTRY, server_address=server.address)
    arm.ready()
    policy.first_value = float("nan")
    assert arm.call_run().success
    status = arm.wait_for("failed")
    assert arm.chunks == []
    assert "dx" in status.reason or "finite" in status.reason
    ros.wait(lambda: arm.holds == 1, 1.0, what="hold")


def test_leaving_policy_mode_stops_the_run_and_the_next_one_resets_the_session(ros, policy, server):
    arm = FakeArm(ros)
    ros.start(ENTRY, server_address=server.address)
    arm.ready()
    assert arm.call_run().success
    ros.wait(lambda: arm.chunks, what="a chunk")
    arm.mode.publish(String(data="ESTOP: by hand"))
    status = arm.wait_for("stopped")
    assert status.reason == "the arm left POLICY: ESTOP (by hand)"
    ros.spin_for(0.3)
    assert arm.holds == 0  # an e-stop is nothing to hold
    refused = arm.call_run()
    assert (refused.success, "the arm is in ESTOP" in refused.message) == (False, True)

    arm.mode.publish(String(data="POLICY"))
    ros.spin_for(0.1)
    count = len(arm.chunks)
    assert arm.call_run().success
    assert not arm.call_run().success  # one at a time
    ros.wait(lambda: len(arm.chunks) > count, what="a chunk of the second run")
    assert arm.said[-1].run == 2
    assert arm.call_run(on=False).success
    assert arm.wait_for("stopped").reason == "stopped on request"
    ros.wait(lambda: arm.holds == 1, 1.0, what="hold")


def test_silent_camera_fails_by_name(ros, policy, server):
    arm = FakeArm(ros)
    ros.start(ENTRY, server_address=server.address)
    arm.ready()
    assert arm.call_run().success
    ros.wait(lambda: arm.chunks, what="a chunk")
    arm.camera_on = False
    status = arm.wait_for("failed")
    assert "camera front" in status.reason


def test_no_server_and_no_instruction(ros):
    arm = FakeArm(ros)
    process = ros.start(ENTRY, server_address="127.0.0.1:1")
    ros.wait(arm.run.service_is_ready, what="/policy_runner/run")
    assert "no driver" in arm.call_run().message
    arm.mode.publish(String(data="POLICY"))
    ros.spin_for(0.3)
    assert "no instruction" in arm.call_run().message
    arm.ready()
    assert arm.call_run().success
    assert "no policy server at 127.0.0.1:1" in arm.wait_for("failed").reason
    assert process.signal_and_wait(signal.SIGTERM) == 0


def test_stop_of_the_runner_in_mid_run_holds_the_arm(ros, policy, server):
    arm = FakeArm(ros)
    process = ros.start(ENTRY, server_address=server.address)
    arm.ready()
    assert arm.call_run().success
    ros.wait(lambda: arm.chunks, what="a chunk")
    process.process.send_signal(signal.SIGTERM)
    ros.wait(lambda: arm.holds == 1, 1.0, what="hold")
    assert process.process.wait(2) == 0


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"server_wait_s": -1.0}, "the last one not negative"),
        ({"certificates": "/nowhere"}, "no connection to the policy server can be made"),
    ],
)
def test_settings_that_make_no_sense_are_refused_at_the_start(ros, parameters, words):
    process = ros.start(ENTRY, **parameters)
    assert process.process.wait(20) == 2
    assert words in process.text()
