"""Arm link: torque on and off, faults, and a bus that fails, against the firmware of the virtual lab; made-up time."""

import pytest
from link_lab import Lab
from motion_control import Mode, ModeRefusedError
from piper_can import codec
from piper_description import HOME_POSITION, JOINT_LIMITS


@pytest.fixture
def lab():
    made = Lab()
    yield made
    made.close()


QUESTIONS = {codec.FIRMWARE, codec.LIMITS_QUERY, codec.SETTINGS_COMMAND}


def test_disabled_sends_only_questions_and_ends_when_they_are_answered(lab):
    lab.tick(300)
    assert set(lab.ids()) == QUESTIONS
    assert lab.link.host.limits is not None and lab.link.host.settings.collision_levels is not None
    lab.commands.clear()
    lab.tick(300)
    assert lab.commands == []


def test_enable_turns_torque_on_then_selects_the_mode_then_streams(lab):
    lab.enabled()
    assert lab.controller.mode is Mode.HOLD and lab.emulator.mode == "servo"
    ids = lab.ids()
    first_target = ids.index(0x155)
    assert ids.index(codec.FIRMWARE) < ids.index(codec.LIMITS_QUERY) < ids.index(0x471)
    assert 0x471 in ids[:first_target] and ids[first_target - 1] == 0x151
    assert set(ids[first_target:]) <= {0x151, 0x155, 0x156, 0x157, 0x159}
    first = codec.decode(0x155, lab.commands[first_target][1])
    assert first["Joint2"] == pytest.approx(HOME_POSITION[1], abs=2e-5)
    lab.commands.clear()
    lab.tick(200)
    assert lab.ids().count(0x155) == 200 and lab.ids().count(0x151) == 1


def test_an_arm_that_does_not_answer_is_reported_by_joint(lab):
    lab.tick(100)
    lab.commands.clear()
    lab.deaf = True
    lab.switch(True)
    lab.tick(610)
    (answer,) = lab.answers
    assert answer[0] is False and "joint1, joint2" in answer[1] and "torque on within 3 s" in answer[1]
    assert lab.controller.mode is Mode.DISABLED
    assert 55 <= lab.ids().count(0x471) <= 62


def test_no_torque_without_a_firmware_version(lab):
    lab.deaf = True
    lab.tick(10)
    lab.switch(True)
    lab.tick(610)
    assert lab.answers[0][0] is False and "unknown within 3 s [firmware-silent]" in lab.answers[0][1]
    assert set(lab.ids()) == {codec.FIRMWARE} and lab.controller.mode is Mode.DISABLED


def test_no_torque_for_a_firmware_that_is_not_known(lab):
    def newer(frame):
        return codec.Frame(frame.frame_id, frame.data.replace(b"V1.8", b"V3.8").replace(b"S-V1", b"S-V3"))

    lab.change = lambda frame: newer(frame) if frame.frame_id == codec.FIRMWARE else frame
    lab.tick(10)
    with pytest.raises(ModeRefusedError, match=r"update Armature.*\[firmware-unknown\]"):
        lab.switch(True)
    lab.tick(10)
    assert 0x471 not in lab.ids() and lab.emulator.mode == "off"


def test_enable_is_refused_before_any_torque(lab):
    with pytest.raises(ModeRefusedError, match="fresh feedback"):
        lab.switch(True)
    lab.emulator.receive(0x150, bytes([1, 0, 0, 0, 0, 0, 0, 0]))
    lab.tick(10)
    with pytest.raises(ModeRefusedError, match="EMERGENCY_STOP"):
        lab.switch(True)
    assert set(lab.ids()) <= QUESTIONS


def test_disable_leaves_hold_before_the_torque_goes(lab):
    lab.enabled()
    lab.commands.clear()
    lab.switch(False)
    lab.tick(15)
    assert lab.answers[-1] == (True, "torque is off")
    assert lab.controller.mode is Mode.DISABLED and lab.emulator.mode == "off"
    assert 0x155 not in lab.ids()[lab.ids().index(0x471) :]


def test_a_new_request_answers_the_old_one(lab):
    lab.tick(10)
    lab.deaf = True
    lab.switch(True)
    lab.tick(5)
    lab.switch(False)
    assert lab.answers == [(False, "another request for torque came")]


@pytest.mark.parametrize(
    ("frame_id", "values", "reason"),
    [
        (codec.ARM_STATUS, {"ArmStatus": 7, "CtrlMode": 1}, "status is COLLISION"),
        (codec.ARM_STATUS, {"CommErrorJoints": 4}, "cannot reach joint3"),
        (codec.MOTOR_SLOW[1], {"Enabled": 1, "Overcurrent": 1}, "joint2 Overcurrent"),
        (codec.MOTOR_SLOW[4], {"Enabled": 0}, "torque off"),
    ],
)
def test_what_the_arm_reports_becomes_a_fault(lab, frame_id, values, reason):
    lab.enabled()
    lab.change = lambda frame: codec.encode(frame_id, values) if frame.frame_id == frame_id else frame
    lab.tick(6)
    assert lab.controller.mode is Mode.FAULT and reason in lab.controller.modes.reason
    assert 0x150 not in lab.ids(), "neither stop nor reset: the arm would sink or fall"


def test_a_pose_outside_the_firmware_limits_is_sent_as_the_limit():
    outside = HOME_POSITION.copy()
    outside[1] = JOINT_LIMITS.lower[1] - 0.02
    lab = Lab(outside).enabled()
    lab.tick(5)
    sent = [codec.decode(0x155, data)["Joint2"] for frame_id, data in lab.commands if frame_id == 0x155]
    assert set(sent) == {0.0}
    assert lab.link.bus_errors == 0
