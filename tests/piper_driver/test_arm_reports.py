"""Arms that must get no torque, and what each refusal says."""

import numpy as np
import pytest
from link_lab import Lab
from motion_control import Mode, ModeRefusedError
from piper_can import codec
from piper_can.bus import to_message


@pytest.fixture
def lab():
    made = Lab()
    yield made
    made.close()


def refused(lab, match):
    with pytest.raises(ModeRefusedError, match=match):
        lab.switch(True)
    assert codec.ENABLE_COMMAND not in lab.ids() and lab.controller.mode is Mode.DISABLED


def test_a_leader_arm_that_nobody_moves(lab):
    lab.emulator.receive(codec.ROLE_COMMAND, bytes([0xFA, 0, 0, 0, 0, 0, 0, 0]))
    lab.tick(20)
    refused(lab, r"never heard.*leader mode.*\[no-feedback\]")


def test_a_leader_arm_that_is_moved(lab):
    lab.emulator.receive(codec.ROLE_COMMAND, bytes([0xFA, 0, 0, 0, 0, 0, 0, 0]))
    for _ in range(5):
        for frame in codec.encode_joint_targets([0.0, 0.1, -0.1, 0.0, 0.0, 0.0]):
            lab.arm_bus.send(to_message(*frame))
        lab.tick()
    refused(lab, r"\[leader-mode\]: make it a follower")


@pytest.mark.parametrize("offset", [0x10, 0x20, 0x100])
def test_feedback_under_other_ids(lab, offset):
    lab.change = lambda f: f._replace(frame_id=f.frame_id + offset) if f.frame_id // 16 == 0x2A else f
    lab.tick(10)
    refused(lab, rf"0x{0x2A1 + offset:03X}.*\[offset-ids\]")


def test_teach_mode(lab):
    lab.change = lambda f: codec.encode(0x2A1, {"CtrlMode": 2}) if f.frame_id == 0x2A1 else f
    lab.tick(10)
    refused(lab, r"TEACH.*\[teach-mode\]")


@pytest.mark.parametrize(("frame_id", "name"), [(0x2A8, "gripper"), (0x2A1, "status"), (0x263, "motor drivers")])
def test_a_part_that_never_reported(lab, frame_id, name):
    lab.mute = {frame_id}
    lab.tick(20)
    refused(lab, rf"never reported: {name}")


def test_corrupt_limits(lab):
    broken = {"Motor": 3, "LowerAngle": np.radians(-0.1), "UpperAngle": np.radians(-0.1), "SpeedCount": 300}
    lab.change = lambda f: (
        codec.encode(f.frame_id, broken) if f.frame_id == codec.LIMITS_REPLY and f.data[0] == 3 else f
    )
    lab.tick(80)
    refused(lab, r"joint3 may move from -0.1 to -0.1 deg only \[limits-corrupt\]: restore")


def test_limits_that_are_not_told(lab):
    lab.change = lambda f: f._replace(frame_id=0x7FE) if f.frame_id == codec.LIMITS_REPLY else f
    lab.tick(10)
    lab.switch(True)
    lab.tick(610)
    assert lab.answers[0][0] is False and "[limits-silent]" in lab.answers[0][1]
    assert codec.ENABLE_COMMAND not in lab.ids()


def test_a_foreign_writer_before_enable(lab):
    lab.tick(20)
    lab.arm_bus.send(to_message(*codec.encode(codec.MODE_COMMAND, {"CtrlMode": 1})))
    lab.tick()
    refused(lab, r"0x151.*\[foreign-writer\]")
    lab.tick(201)
    lab.switch(True)


def test_a_disabled_joint_is_named(lab):
    lab.change = lambda f: codec.encode(0x264, {"Enabled": 0}) if f.frame_id == 0x264 else f
    lab.tick(80)
    lab.switch(True)
    lab.tick(610)
    assert lab.answers == [(False, lab.answers[0][1])] and lab.answers[0][1].startswith(
        "joint4 did not report torque on"
    )


def test_a_reset_is_sent_only_to_an_arm_that_is_stopped(lab):
    lab.enabled()
    with pytest.raises(ModeRefusedError, match="call estop first"):
        lab.link.reset_drops_arm(lab.now)
    lab.controller.estop()
    assert codec.STOP_COMMAND not in lab.ids()
    lab.link.reset_drops_arm(lab.now)
    lab.tick(20)
    assert (codec.STOP_COMMAND, bytes([2, 0, 0, 0, 0, 0, 0, 0])) in lab.commands and lab.emulator.mode == "off"
