"""The firmware logic on a plant of first-order joints: enabling, targets, limits, stop, reset, feedback rates."""

import collections

import numpy as np
import pytest
from piper_can import codec
from piper_can.arm_state import ArmStateAssembler
from piper_can.firmware import FirmwareReply
from piper_can.samples import ArmStatusCode, CtrlMode
from piper_description import JOINT_LIMITS, forward_kinematics
from virtual_lab.arm_emulator import ArmEmulator, PlantReading

DT_S = 0.005
REST = np.array([0.0, 0.0, 0.0, 0.0, 0.5, 0.0, 0.02])
GOAL = np.array([0.3, 0.5, -0.4, 0.2, 0.3, -0.2])


class Rig:
    """An emulator over joints that follow with a time constant; without torque joint 2 falls (slower if damped)."""

    def __init__(self):
        self.position = REST.copy()
        self.reading = PlantReading(self.position.copy(), np.zeros(7), np.zeros(7))
        self.arm = ArmEmulator(self.reading)
        self.assembler = ArmStateAssembler()
        self.frames = collections.Counter()
        self.now_ns = 0

    def send(self, frame_id, values):
        return self.arm.receive(*codec.encode(frame_id, values))

    def enable(self, motor=7):
        self.send(codec.ENABLE_COMMAND, {"Motor": motor, "Enable": 2})

    def mode(self, percent=100, **values):
        self.send(codec.MODE_COMMAND, {"CtrlMode": 1, "MoveMode": 1, "SpeedPercent": percent, **values})

    def joints(self, q):
        for frame in codec.encode_joint_targets(list(q)):
            self.arm.receive(*frame)

    def gripper(self, opening, enable=1):
        self.send(codec.GRIPPER_COMMAND, {"Stroke": opening, "Effort": 1.0, "Enable": enable})

    def run(self, seconds):
        for _ in range(round(seconds / DT_S)):
            self.now_ns += 5_000_000
            command = self.arm.step(DT_S)
            before = self.position.copy()
            if command.mode == "servo":
                self.position[:6] += (command.setpoint[:6] - self.position[:6]) * 0.4
            else:
                self.position[1] -= {"off": 1.0, "damped": 0.1}[command.mode] * DT_S
            self.position[6] += (command.setpoint[6] - self.position[6]) * 0.4
            self.reading = PlantReading(self.position.copy(), (self.position - before) / DT_S, np.full(7, 2.0))
            for frame in self.arm.feedback(self.reading):
                self.frames[frame.frame_id] += 1
                self.assembler.feed(*frame, bus_ns=self.now_ns, now_ns=self.now_ns)
                assert self.arm.receive(*frame) == []  # its own echo

    @property
    def state(self):
        return self.assembler.state(self.now_ns)


@pytest.fixture
def rig():
    return Rig()


@pytest.fixture
def moving(rig):
    rig.enable()
    rig.mode()
    rig.joints(GOAL)
    return rig


def test_feedback_is_3040_frames_a_second(rig):
    rig.run(1.0)
    assert sum(rig.frames.values()) == 3040
    assert {rig.frames[i] for i in (*range(0x2A1, 0x2A9), *codec.MOTOR_FAST)} == {200}
    assert {rig.frames[i] for i in codec.MOTOR_SLOW} == {40}


def test_without_enable_there_is_no_torque_and_no_motion(rig):
    rig.mode()
    rig.joints(GOAL)
    rig.run(0.1)
    assert rig.arm.mode == "off" and not rig.state.enabled.any()
    assert rig.position[1] < -0.05  # it falls
    assert rig.position[0] == 0.0


def test_enable_joint_by_joint_then_targets_are_reached(rig):
    for joint in range(1, 7):
        rig.run(0.03)
        assert rig.arm.mode == "off"
        rig.enable(joint)
    held = rig.position.copy()
    rig.run(0.2)
    assert rig.state.all_enabled
    np.testing.assert_allclose(rig.position[:6], held[:6], atol=1e-9)  # it holds where it was
    rig.joints(GOAL)
    rig.run(0.2)
    np.testing.assert_allclose(rig.position[:6], held[:6], atol=1e-9)  # not before CAN control is selected
    rig.mode()
    rig.joints(GOAL)
    rig.run(0.01)
    assert not rig.state.status.target_reached
    rig.run(1.0)
    state = rig.state
    np.testing.assert_allclose(state.joints.position_rad, GOAL, atol=2e-5)
    assert state.status.ctrl_mode is CtrlMode.CAN and state.status.target_reached
    np.testing.assert_allclose(state.motors.current_a[:3], 2.0 / 4.725, atol=1e-3)


@pytest.mark.parametrize(("percent", "speed"), [(100, 3.0), (50, 1.5), (10, 0.3), (0, 0.0)])
def test_speed_limit(rig, percent, speed):
    rig.enable()
    rig.mode(percent)
    rig.joints([2.5, 0.0, 0.0, 0.0, 0.5, 0.0])
    rig.run(0.3)
    assert rig.reading.velocity[0] == pytest.approx(speed, abs=1e-6)


def test_other_move_modes_do_not_follow_joint_targets(rig):
    rig.enable()
    for values in ({"MoveMode": 0}, {"MoveMode": 2}, {"MitMode": 0xAD}, {"CtrlMode": 0}):
        rig.mode(**values)
        rig.joints(GOAL)
        rig.run(0.1)
        np.testing.assert_allclose(rig.position[:6], REST[:6], atol=1e-9)


def test_target_over_limit_is_refused_and_reported(moving):
    moving.run(1.5)
    bad = codec.Frame(codec.JOINT_TARGETS[0], (160_000).to_bytes(4, "big") + (30_000).to_bytes(4, "big"))
    moving.arm.receive(*bad)
    moving.run(0.5)
    status = moving.state.status
    assert status.arm_status is ArmStatusCode.TARGET_OVER_LIMIT
    assert status.angle_limit == (True, False, False, False, False, False)
    assert moving.position[0] == pytest.approx(GOAL[0], abs=1e-5)
    moving.joints(JOINT_LIMITS.upper[:6])
    moving.run(0.01)
    assert moving.state.status.arm_status is ArmStatusCode.NORMAL


def test_last_target_is_held_when_the_host_is_gone(moving):
    moving.run(10.0)
    np.testing.assert_allclose(moving.position[:6], GOAL, atol=1e-5)


def test_stop_sinks_under_damping_until_reset_drops_and_two_enables(moving):
    moving.run(1.0)
    moving.send(codec.STOP_COMMAND, {"Stop": 1})
    moving.joints(REST[:6])
    moving.enable()
    moving.gripper(0.06)
    moving.run(1.0)
    assert moving.arm.mode == "damped"
    assert moving.state.status.arm_status is ArmStatusCode.EMERGENCY_STOP and moving.state.all_enabled
    assert moving.position[1] == pytest.approx(GOAL[1] - 0.1, abs=1e-3)
    assert moving.position[0] == pytest.approx(GOAL[0], abs=1e-3)

    moving.send(codec.STOP_COMMAND, {"Stop": 2})
    moving.run(0.1)
    assert moving.arm.mode == "off" and not moving.state.enabled.any()
    assert moving.state.status.arm_status is ArmStatusCode.NORMAL
    assert moving.state.status.ctrl_mode is CtrlMode.STANDBY
    assert moving.position[1] == pytest.approx(GOAL[1] - 0.2, abs=6e-3)

    moving.enable()
    assert moving.arm.mode == "off"  # the first enable after a reset has no effect
    moving.enable()
    assert moving.arm.mode == "servo"
    held = moving.position.copy()
    moving.run(0.5)
    np.testing.assert_allclose(moving.position[:6], held[:6], atol=1e-9)


def test_disable_drops_and_enable_again_does_not_jump(moving):
    moving.run(1.0)
    moving.send(codec.ENABLE_COMMAND, {"Motor": 7, "Enable": 1})
    moving.run(0.2)
    fallen = moving.position.copy()
    assert fallen[1] < GOAL[1] - 0.1
    moving.enable()
    moving.run(0.5)
    np.testing.assert_allclose(moving.position[:6], fallen[:6], atol=1e-9)


def test_gripper_needs_its_enable_bit(rig):
    rig.gripper(0.05, enable=0)
    rig.run(0.5)
    assert rig.position[6] == pytest.approx(0.02) and not rig.state.gripper.enabled
    rig.gripper(0.05, enable=1)
    rig.run(0.5)
    assert rig.state.gripper.stroke_m == pytest.approx(0.05, abs=1e-6) and rig.state.gripper.enabled
    rig.gripper(0.1, enable=3)
    rig.run(0.5)
    assert rig.position[6] == pytest.approx(0.07, abs=1e-6)
    rig.gripper(0.0, enable=2)
    rig.run(0.5)
    assert rig.position[6] == pytest.approx(0.07, abs=1e-6) and not rig.state.gripper.enabled


def test_leader_is_silent_and_deaf_until_it_is_a_follower(rig):
    rig.send(codec.ROLE_COMMAND, {"Role": 0xFA})
    rig.enable()
    rig.run(0.1)
    assert not rig.frames and rig.arm.mode == "off"
    rig.send(codec.ROLE_COMMAND, {"Role": 0xFC})
    rig.enable()
    rig.run(0.1)
    assert rig.frames and rig.arm.mode == "servo"


def test_firmware_answers_a_request_and_nothing_else(rig):
    reply = FirmwareReply()
    frames = rig.arm.receive(*codec.encode_payload(codec.FIRMWARE_REQUEST))
    assert len(frames) == 11
    answers = [reply.add(frame.data) for frame in frames]
    assert answers[-1] == "S-V1.8-5"
    assert rig.arm.receive(codec.FIRMWARE, b"\x01") == frames  # some hosts send the request without its zeros
    for frame in frames:
        assert rig.arm.receive(*frame) == []
    assert rig.arm.receive(codec.ENABLE_COMMAND, b"\x07") == []
    assert rig.arm.mode == "off"


def test_end_pose_is_the_flange(moving):
    moving.run(1.5)
    frames = {f.frame_id: codec.decode(*f) for f in moving.arm.feedback(moving.reading) if f.frame_id in codec.END_POSE}
    xyz = [frames[0x2A2]["X"], frames[0x2A2]["Y"], frames[0x2A3]["Z"]]
    np.testing.assert_allclose(xyz, forward_kinematics(GOAL)[:3, 3], atol=2e-5)
