"""The lab as a process: stock piper_sdk, the project's own host, cameras, control service, and how it ends."""

import json
import os
import signal
import subprocess
import sys
import time

import grpc
import numpy as np
import pytest
from cameras.shared_frames import ring_path
from cameras.software_device import SoftwareColorCamera
from cameras.source import CameraError
from grpc_health.v1 import health_pb2, health_pb2_grpc
from piper_can import PiperHost, open_bus
from piper_description import HOME_POSITION
from virtual_lab.can_faults import CanFault, FaultKind
from virtual_lab.client import LabClient, LabError

# Runs stock piper_sdk in a process of its own and prints what it saw.
STOCK_SDK = """
import json, sys, time
from piper_sdk import C_PiperInterface_V2

def wait(condition, seconds=10.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "gave up waiting"
        time.sleep(0.01)

def joints():
    s = arm.GetArmJointMsgs().joint_state
    return [s.joint_1, s.joint_2, s.joint_3, s.joint_4, s.joint_5, s.joint_6]

arm = C_PiperInterface_V2("lab", judge_flag=False, can_auto_init=False)
arm.CreateCanBus(sys.argv[1], bustype="udp_multicast", judge_flag=False)
arm.ConnectPort()
seen = {}
wait(lambda: arm.GetArmJointMsgs().time_stamp > 0)
seen["enabled_before"] = any(arm.GetArmEnableStatus())
wait(lambda: isinstance(arm.GetPiperFirmwareVersion(), str))
seen["firmware"] = arm.GetPiperFirmwareVersion()
wait(arm.EnablePiper)
arm.MotionCtrl_2(0x01, 0x01, 100, 0x00)
goal = json.loads(sys.argv[2])
arm.GripperCtrl(50_000, 1000, 0x01, 0)
start = time.monotonic()
while time.monotonic() - start < 5.0 and max(abs(a - b) for a, b in zip(joints(), goal)) > 500:
    arm.JointCtrl(*goal)
    time.sleep(0.005)
time.sleep(0.7)
seen["joints"] = joints()
seen["hz"] = arm.GetArmJointMsgs().Hz
seen["gripper"] = arm.GetArmGripperMsgs().gripper_state.grippers_angle
seen["pose_z"] = arm.GetArmEndPoseMsgs().end_pose.Z_axis
seen["status"] = int(arm.GetArmStatus().arm_status.arm_status)
arm.EmergencyStop(0x01)
wait(lambda: int(arm.GetArmStatus().arm_status.arm_status) == 1)
stopped = joints()
time.sleep(0.2)
seen["sunk_in_stop"] = max(abs(a - b) for a, b in zip(joints(), stopped))
seen["enabled_in_stop"] = all(arm.GetArmEnableStatus())
arm.ResetPiper()
wait(lambda: not any(arm.GetArmEnableStatus()))
time.sleep(0.2)
seen["dropped"] = max(abs(a - b) for a, b in zip(joints(), stopped))
seen["status_after_reset"] = int(arm.GetArmStatus().arm_status.arm_status)
wait(arm.EnablePiper)
seen["enabled_again"] = all(arm.GetArmEnableStatus())
print("SEEN" + json.dumps(seen), flush=True)
"""


class Hand:
    """Moves the lab's arm through CAN."""

    def __init__(self, lab):
        self.bus = open_bus("udp_multicast", lab.channel, port=lab.port)
        self.host = PiperHost(self.bus)

    def run(self, seconds, until=lambda state: False, each_tick=lambda: None):
        end, taken = time.monotonic() + seconds, 0
        while time.monotonic() < end:
            taken += self.host.poll(time.monotonic_ns())
            if until(self.host.state):
                break
            each_tick()
            time.sleep(0.005)
        return taken

    def go_home(self):
        self.run(5.0, lambda state: state.all_enabled, self.host.send_enable)
        assert self.host.state.all_enabled
        self.host.send_motion_mode(100)
        self.host.send_gripper(HOME_POSITION[6], 1.0)
        self.run(8.0, self.at_home, lambda: self.host.send_joints(HOME_POSITION[:6]))
        assert self.at_home(self.host.state)

    @staticmethod
    def at_home(state):
        return state.joints is not None and np.abs(state.joints.position_rad - HOME_POSITION[:6]).max() < 0.005


@pytest.fixture
def hand(lab):
    hand = Hand(lab)
    yield hand
    hand.bus.shutdown()


def test_stock_piper_sdk_enables_moves_stops_and_resets_the_arm(lab):
    goal_rad = HOME_POSITION[:6] + np.array([0.2, 0.0, 0.1, 0.1, -0.1, -0.2])
    goal = [round(v * 1000) for v in np.degrees(goal_rad)]
    environment = {**os.environ, "CAN_CONFIG": json.dumps({"port": lab.port, "hop_limit": 0})}
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", STOCK_SDK, lab.channel, json.dumps(goal)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    lines = [line for line in result.stdout.splitlines() if line.startswith("SEEN")]
    assert result.returncode == 0 and lines, result.stdout + result.stderr
    seen = json.loads(lines[0].removeprefix("SEEN"))
    assert not seen["enabled_before"] and seen["firmware"] == "S-V1.8-5"
    np.testing.assert_allclose(seen["joints"], goal, atol=200)  # 0.2 degrees
    assert abs(seen["gripper"] - 50_000) < 500
    assert 100_000 < seen["pose_z"] < 600_000
    assert seen["status"] == 0 and seen["hz"] > 100
    assert seen["enabled_in_stop"] and 0 < seen["sunk_in_stop"] < 12_000
    assert seen["dropped"] > 2 * seen["sunk_in_stop"]
    assert seen["status_after_reset"] == 0 and seen["enabled_again"]


def test_feedback_rate_and_loop(lab, hand):
    hand.run(0.3)
    with LabClient(lab.control) as client:
        ticks = client.truth().ticks
        start = time.monotonic()
        taken = hand.run(2.0)
        elapsed = time.monotonic() - start
        ticked = client.truth().ticks - ticks
    assert ticked == pytest.approx(200 * elapsed, rel=0.25)
    assert taken == pytest.approx(15.2 * ticked, rel=0.05)  # 14 frames a tick at 200 Hz and 6 at 40 Hz


def test_episode_control(lab, hand):
    with LabClient(lab.control) as client:
        client.wait_ready(5.0)
        with grpc.insecure_channel(lab.control) as channel:
            request = health_pb2.HealthCheckRequest(service="virtual_lab.v1.LabControl")
            reply = health_pb2_grpc.HealthStub(channel).Check(request, timeout=5.0)
            assert reply.status == health_pb2.HealthCheckResponse.SERVING
        with pytest.raises(LabError, match=r"arm is away from home.*send it home first") as refused:
            client.reset(2_000_005)
        assert refused.value.code is grpc.StatusCode.FAILED_PRECONDITION
        with pytest.raises(LabError, match="seed 5 is not for a virtual lab") as refused:
            client.reset(5)
        assert refused.value.code is grpc.StatusCode.INVALID_ARGUMENT
        with pytest.raises(LabError, match="runs task 'pick_cube'"):
            client.reset(2_000_005, task="stack")
        hand.go_home()
        instruction = client.reset(2_000_005, task="pick_cube")
        assert "cube" in instruction or "block" in instruction
        truth = client.truth()
        assert truth.seed == 2_000_005 and not truth.success and truth.torque_on
        assert set(truth.object_poses) == {"red", "blue"} and truth.object_poses["red"].shape == (7,)
        np.testing.assert_allclose(truth.joint_position[:6], HOME_POSITION[:6], atol=0.01)
        assert client.reset(2_000_005) == instruction


def test_faults_of_the_wire_are_switched_by_the_control_service(lab, hand):
    hand.run(0.5, lambda state: state.status is not None)
    with LabClient(lab.control) as client:
        began = client.set_can_faults(CanFault(FaultKind.WRONG, (0x2A1,), {"ArmStatus": 7}))
        hand.run(3.0, lambda state: state.status.arm_status.name == "COLLISION")
        assert hand.host.state.status.arm_status.name == "COLLISION"
        assert 0 < hand.host.state.status.stamp_ns - began < 3_000_000_000
        client.set_can_faults()
        hand.run(3.0, lambda state: state.status.arm_status.name == "NORMAL")
        assert hand.host.state.status.arm_status.name == "NORMAL"


def test_frames_of_both_cameras_arrive_through_the_software_device(lab, hand):
    front, wrist = (SoftwareColorCamera(lab.name, name) for name in ("front", "wrist"))
    first = front.read(5.0)
    assert first.pixels.shape == (240, 320, 3) and first.pixels.std() > 5.0
    assert abs(time.monotonic_ns() - first.capture_ns) < 1_000_000_000
    assert (first.intrinsics.width, first.intrinsics.height) == (320, 240)
    assert first.intrinsics.fx == pytest.approx(308.6, abs=1.0)
    start, frames = time.monotonic(), [front.read(1.0) for _ in range(30)]
    elapsed = time.monotonic() - start
    assert frames[-1].frame_number - frames[0].frame_number == pytest.approx(30 * elapsed, rel=0.3, abs=2)
    assert np.all(np.diff([frame.capture_ns for frame in frames]) > 0)
    before = wrist.read(1.0).pixels
    hand.go_home()
    after = wrist.read(1.0).pixels
    assert np.abs(after.astype(int) - before).mean() > 5.0  # the wrist camera moved with the arm
    lab.stop()
    with pytest.raises(CameraError, match="has stopped"):
        while True:
            front.read(0.1)
    front.close()
    wrist.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_stops_cleanly(lab, number):
    assert os.path.exists(ring_path(lab.name, "front"))
    assert lab.stop(number) == 0
    assert not os.path.exists(ring_path(lab.name, "front"))
    assert "stopped" in lab.process.stdout.read()


def test_it_says_why_it_cannot_start(lab):
    for arguments, text in (
        (["--seed", "7"], "seed 7 is not for a virtual lab"),
        (["--task", "juggle"], "unknown task 'juggle'"),
        (["--can-interface", "socketcan", "--can-channel", "can9"], "ip link set can9 up"),
        (["--lab", lab.name, "--can-port", str(lab.port)], "already has a writer"),
        (["--lab", "other", "--control-address", lab.control], "cannot listen on"),
    ):
        command = [sys.executable, "-m", "virtual_lab", *arguments]
        result = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        assert result.returncode == 1 and text in result.stderr, result.stderr
        assert "Traceback" not in result.stderr
