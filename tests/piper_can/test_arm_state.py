"""Samples are whole: never a mixture of two feedback cycles, whatever is lost or interleaved."""

import dataclasses
import itertools
import random

import numpy as np
import pytest
from piper_can import codec
from piper_can.arm_state import MAX_SKEW_NS, ArmStateAssembler
from piper_can.errors import BadFrameError
from piper_can.samples import ArmStatusCode, CtrlMode

PERIOD_NS = 5_000_000


def joint_frames(value_rad):
    return codec.encode_pairs(codec.JOINT_FEEDBACK, codec.JOINT_SIGNALS, [value_rad] * 6)


def motor_frames(velocity):
    return [codec.encode(i, {"Velocity": velocity, "Current": velocity / 2}) for i in codec.MOTOR_FAST]


@pytest.mark.parametrize("seed", range(8))
def test_no_sample_mixes_cycles(seed):
    """Each cycle carries one value in all its frames; a third is lost; some cycles follow at once, as after a stall."""
    rng = random.Random(seed)
    assembler = ArmStateAssembler()
    whole = seen = now_ns = 0
    for cycle in range(200):
        value = round(0.001 * cycle, 3)
        now_ns += PERIOD_NS if rng.random() < 0.8 else 100_000
        kept = [f for f in joint_frames(value) + motor_frames(value) if rng.random() > 0.33 * (cycle % 3 == 0)]
        if cycle % 5 == 0:
            now_ns += PERIOD_NS
            kept = joint_frames(value) + motor_frames(value)
            rng.shuffle(kept)
        order = [f.frame_id for f in kept if f.frame_id in codec.JOINT_FEEDBACK]
        whole += order == list(codec.JOINT_FEEDBACK)
        before = assembler.state(now_ns).joints
        for frame in kept:
            now_ns += 50_000
            assembler.feed(*frame, bus_ns=now_ns, now_ns=now_ns)
        state = assembler.state(now_ns)
        seen += state.joints is not before
        if state.joints is not None:
            assert np.ptp(state.joints.position_rad) < 2e-5
    assert seen == whole > 50


@pytest.mark.parametrize("seed", range(4))
def test_motors_may_report_in_any_order_and_never_mix(seed):
    rng = random.Random(seed)
    assembler = ArmStateAssembler()
    stamps = set()
    for cycle in range(200):
        value = round(0.001 * cycle, 3)
        frames = motor_frames(value)
        rng.shuffle(frames)
        for index, frame in enumerate(frames[: rng.choice([6, 6, 5, 1])]):
            now_ns = cycle * PERIOD_NS + index * 50_000
            assembler.feed(*frame, bus_ns=now_ns, now_ns=now_ns)
        motors = assembler.state(now_ns).motors
        if motors is not None:
            stamps.add(motors.stamp_ns)
            assert np.ptp(motors.velocity_rad_s) == 0.0
            np.testing.assert_allclose(motors.current_a, motors.velocity_rad_s / 2, atol=6e-4)
    assert len(stamps) > 60


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_a_sample_needs_all_three_frames_in_their_order_within_the_skew_limit(order):
    frames = [joint_frames(0.5)[i] for i in order]
    for gap_ns, expected in ((MAX_SKEW_NS // 2, order == (0, 1, 2)), (MAX_SKEW_NS // 2 + 1, False)):
        assembler = ArmStateAssembler()
        for index, frame in enumerate(frames):
            assert assembler.state(7).joints is None
            assembler.feed(*frame, bus_ns=index * gap_ns, now_ns=7)
        sample = assembler.state(7).joints
        assert (sample is not None) is expected
        if sample is not None:
            assert (sample.stamp_ns, sample.skew_ns) == (7, 2 * gap_ns)


def test_pose_of_the_flange():
    assembler = ArmStateAssembler()
    pose = [0.1, -0.2, 0.3, 1.0, -0.5, 3.0]
    frames = codec.encode_pairs(codec.END_POSE, codec.END_POSE_SIGNALS, pose)
    for index, frame in enumerate(frames):
        assert assembler.state(0).pose is None
        assembler.feed(*frame, bus_ns=index * 1000, now_ns=50 + index)
    sample = assembler.state(60).pose
    np.testing.assert_allclose([*sample.position_m, *sample.rpy_rad], pose, atol=1e-5)
    assert (sample.stamp_ns, sample.skew_ns) == (52, 2000)


def test_samples_are_frozen():
    assembler = ArmStateAssembler()
    for frame in joint_frames(0.1):
        assembler.feed(*frame, bus_ns=0, now_ns=0)
    state = assembler.state(0)
    assert state.joints is not None
    with pytest.raises(ValueError, match="read-only"):
        state.joints.position_rad[0] = 1.0
    with pytest.raises(ValueError, match="read-only"):
        state.enabled[0] = True
    with pytest.raises(dataclasses.FrozenInstanceError):
        state.joints.stamp_ns = 1  # type: ignore[misc]
    for frame in joint_frames(0.9):
        assembler.feed(*frame, bus_ns=1, now_ns=1)
    np.testing.assert_allclose(state.joints.position_rad, 0.1, atol=1e-5)


def test_status_gripper_enables_faults_and_ages():
    assembler = ArmStateAssembler()
    empty = assembler.state(5)
    assert empty.joint_age_ns is empty.gripper_age_ns is empty.status_age_ns is empty.enabled_age_ns is None
    assert not empty.enabled.any()

    status = {"CtrlMode": 1, "ArmStatus": 7, "MoveMode": 1, "Motion": 1, "AngleLimitJoints": 0b000010}
    assembler.feed(*codec.encode(codec.ARM_STATUS, status), bus_ns=0, now_ns=100)
    gripper = {"Stroke": 0.05, "Effort": 1.5, "Enabled": 1, "SensorError": 1}
    assembler.feed(*codec.encode(codec.GRIPPER_FEEDBACK, gripper), bus_ns=0, now_ns=200)
    for joint, frame_id in enumerate(codec.MOTOR_SLOW):
        values = {"Enabled": joint != 3, "Overcurrent": joint == 1}
        assembler.feed(*codec.encode(frame_id, values), bus_ns=0, now_ns=300 + joint)
    state = assembler.state(1000)
    assert state.status is not None and state.gripper is not None
    assert (state.status.ctrl_mode, state.status.arm_status) == (CtrlMode.CAN, ArmStatusCode.COLLISION)
    assert state.status.angle_limit == (False, True, False, False, False, False)
    assert not state.status.target_reached
    assert state.gripper.stroke_m == pytest.approx(0.05) and state.gripper.enabled
    assert state.gripper.faults == ("gripper SensorError",)
    assert state.enabled.tolist() == [True, True, True, False, True, True] and not state.all_enabled
    assert state.motor_faults == ("joint2 Overcurrent",)
    assert (state.status_age_ns, state.gripper_age_ns, state.enabled_age_ns) == (900, 800, 700)


def test_unknown_codes_and_foreign_frames():
    assembler = ArmStateAssembler()
    assembler.feed(*codec.encode(codec.ARM_STATUS, {"CtrlMode": 77, "ArmStatus": 99}), bus_ns=0, now_ns=0)
    status = assembler.state(0).status
    assert status is not None
    assert (status.ctrl_mode, status.arm_status) == (CtrlMode.UNKNOWN, ArmStatusCode.UNKNOWN)
    assert assembler.feed(0x7FF, bytes(8), bus_ns=0, now_ns=0) is False
    with pytest.raises(BadFrameError):
        assembler.feed(codec.JOINT_FEEDBACK[0], bytes(2), bus_ns=0, now_ns=0)
