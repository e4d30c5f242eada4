"""Faults of bus and arm: how soon each is found, and what goes to the arm afterwards; made-up time, 5 ms a tick."""

import can
import numpy as np
import pytest
from link_lab import Lab
from motion_control import Mode, ModeRefusedError
from piper_can import codec
from piper_can.bus import to_message
from piper_description import HOME_POSITION

TARGETS = {*codec.JOINT_TARGETS, codec.GRIPPER_COMMAND}


@pytest.fixture
def lab():
    made = Lab()
    yield made
    made.close()


def is_fault(lab, fault_id):
    return lambda: lab.controller.mode is Mode.FAULT and lab.link.fault.id.value == fault_id


def assert_latched(lab, fault_id):
    assert is_fault(lab, fault_id)() and fault_id in lab.controller.modes.reason and lab.link.fault.remedy
    assert lab.link.counts[fault_id] == 1
    assert not {codec.STOP_COMMAND, codec.ENABLE_COMMAND} & set(lab.ids()), "nothing that cuts or gives torque"
    with pytest.raises(ModeRefusedError, match="needs mode"):
        lab.controller.policy(True, lab.now)


def joint_1(lab):
    return np.array([codec.decode(0x155, data)["Joint1"] for frame_id, data in lab.commands if frame_id == 0x155])


def fail_with(text):
    def failing(*_args, **_kwargs):
        raise can.CanOperationError(text)

    return failing


@pytest.mark.parametrize("ids", [(0x2A5,), (0x2A7,), (0x2A1,), range(0x200, 0x300)])
def test_silence_of_one_id_or_all_degrades_holds_and_latches(lab, ids):
    lab.moving()
    lab.mute = set(ids)
    lab.tick(4)
    if 0x2A1 not in lab.mute or len(lab.mute) > 1:
        assert "no feedback for 20 ms" in lab.link.degraded(lab.now)
    assert lab.controller.mode is Mode.POLICY
    assert 4 + lab.until(lambda: lab.controller.mode is Mode.HOLD, 10) <= 50 / 5
    lab.until(is_fault(lab, "feedback-silent"), 13)
    assert_latched(lab, "feedback-silent")
    stand = joint_1(lab)
    assert np.abs(np.diff(stand, 2)).max() <= 5.0 * 0.005**2 + 1e-4, "it slows down within limits"
    with pytest.raises(ModeRefusedError, match="feedback"):
        lab.link.clear_fault(lab.now)
    lab.mute = set()
    lab.until(lambda: lab.controller.at_rest, 200)
    lab.tick(5)
    lab.link.clear_fault(lab.now)
    assert lab.controller.mode is Mode.HOLD and lab.link.fault is None
    assert np.allclose(lab.tick().position, lab.position, atol=1e-4), "it starts anew where the arm is"


def test_frozen_angles_in_motion(lab):
    lab.moving()
    frozen = {}
    lab.change = lambda f: frozen.setdefault(f.frame_id, f) if f.frame_id in codec.JOINT_FEEDBACK else f
    assert lab.until(is_fault(lab, "feedback-frozen"), 60) * 5 <= 200
    assert "joint1 reported one and the same angle" in lab.link.fault.words
    assert_latched(lab, "feedback-frozen")


def test_an_arm_at_rest_is_not_frozen(lab):
    lab.enabled()
    lab.tick(300)
    assert lab.controller.mode is Mode.HOLD and not lab.link.counts


def test_one_outlier_is_left_out_and_many_are_a_fault(lab):
    lab.moving()
    wrong = codec.encode(0x2A6, {"Joint3": -np.radians(300), "Joint4": 0.0})
    lab.change = lambda f: wrong if f.frame_id == 0x2A6 else f
    lab.tick(1)
    lab.change = lambda f: f
    lab.tick(3)
    assert lab.link.filter.rejected == 1 and lab.controller.mode is Mode.POLICY
    assert abs(lab.link.joints.position_rad[2] - lab.position[2]) < 1e-3
    assert "joint3 reports a jump" in lab.link.degraded(lab.now)
    lab.change = lambda f: wrong if f.frame_id == 0x2A6 else f
    lab.until(is_fault(lab, "feedback-implausible"), 22)
    assert_latched(lab, "feedback-implausible")
    with pytest.raises(ModeRefusedError, match=r"joint3 reports a jump.*\[feedback-implausible\]"):
        lab.link.clear_fault(lab.now)


def test_an_arm_that_is_held_back_is_let_go_where_it_is(lab):
    lab.moving()
    stuck = lab.position[0]
    tremble = iter(range(10**6))

    def held(frame):  # joint 1 trembles where it met something
        if frame.frame_id != 0x2A5:
            return frame
        return codec.encode(0x2A5, {"Joint1": stuck + 1e-3 * (next(tremble) % 2), "Joint2": float(lab.position[1])})

    lab.change = held
    lab.until(lambda: lab.link.counts["tracking-error"] == 1, 200)
    away = lab.setpoint.position[0] - stuck
    assert 0.15 <= away < 0.5, "found as soon as it left the band"
    lab.until(lambda: lab.controller.mode is Mode.HOLD, 60)
    lab.tick(2)
    assert "[tracking-error]" in lab.controller.modes.reason and abs(lab.setpoint.position[0] - stuck) < 2e-3
    assert abs(joint_1(lab)[-1] - stuck) < 2e-3, "the arm is told to stand where it is"


def test_a_second_push_within_ten_seconds_latches(lab):
    lab.enabled()
    moved = np.zeros(7)

    def pushed(frame):
        if frame.frame_id != 0x2A5:
            return frame
        return codec.encode(0x2A5, {"Joint1": float(moved[0] + lab.position[0]), "Joint2": float(lab.position[1])})

    lab.change = pushed

    def push():
        for _ in range(8):
            moved[0] += 0.03
            lab.tick()

    push()
    lab.until(lambda: "[tracking-error]" in lab.controller.modes.reason, 10)
    lab.tick(2)
    assert lab.controller.mode is Mode.HOLD, "let go, as it stood already"
    push()
    lab.tick(50)
    assert lab.link.counts["tracking-error"] == 2 and lab.controller.mode is Mode.FAULT


def test_a_foreign_writer_is_found_within_a_tick(lab):
    lab.moving()
    lab.arm_bus.send(to_message(*codec.encode_joint_targets(HOME_POSITION[:6].tolist())[0]))
    assert lab.until(is_fault(lab, "foreign-writer"), 1) == 1
    assert "0x155" in lab.link.fault.words
    assert_latched(lab, "foreign-writer")


def test_a_question_of_others_is_no_fault(lab):
    lab.moving()
    lab.arm_bus.send(to_message(*codec.encode(codec.LIMITS_QUERY, {"Motor": 1, "Content": 1})))
    lab.tick(3)
    assert lab.controller.mode is Mode.POLICY


@pytest.mark.parametrize(
    ("frame_id", "values", "fault_id"),
    [
        (codec.ARM_STATUS, {"ArmStatus": 7, "CtrlMode": 1}, "collision"),
        (codec.ARM_STATUS, {"ArmStatus": 1, "CtrlMode": 1}, "arm-stopped"),
        (codec.ARM_STATUS, {"ArmStatus": 14, "CtrlMode": 1}, "over-temperature"),
        (codec.ARM_STATUS, {"ArmStatus": 9, "CtrlMode": 1}, "arm-status"),
        (codec.ARM_STATUS, {"CommErrorJoints": 4}, "joint-unreachable"),
        (codec.MOTOR_SLOW[1], {"Enabled": 1, "Overcurrent": 1}, "motor-fault"),
        (codec.MOTOR_SLOW[2], {"Enabled": 1, "MotorOverheated": 1}, "over-temperature"),
        (codec.MOTOR_SLOW[3], {"Enabled": 1, "Collision": 1}, "collision"),
        (codec.MOTOR_SLOW[4], {"Enabled": 0}, "torque-lost"),
    ],
)
def test_what_the_arm_reports_is_latched_and_never_undone_by_itself(frame_id, values, fault_id):
    lab = Lab().moving()
    lab.change = lambda f: codec.encode(frame_id, values) if f.frame_id == frame_id else f
    assert lab.until(is_fault(lab, fault_id), 6) <= 6
    lab.tick(150)
    assert_latched(lab, fault_id)
    if fault_id == "torque-lost":
        lab.commands.clear()
        lab.tick(20)
        assert not TARGETS & set(lab.ids()), "nothing is sent to an arm without torque"
    else:
        with pytest.raises(ModeRefusedError, match=f"clear_fault.*{fault_id}"):
            lab.link.clear_fault(lab.now)
    lab.close()


def test_a_silent_motor_driver_is_a_fault(lab):
    lab.enabled()
    lab.mute = {codec.MOTOR_SLOW[3]}
    lab.until(is_fault(lab, "torque-unknown"), 60)


def test_a_bus_that_takes_no_frames(lab, monkeypatch):
    lab.moving()
    monkeypatch.setattr(lab.host_bus, "send", fail_with("no buffer space available"))
    lab.tick()
    assert lab.controller.mode is Mode.POLICY, "it is tried again once"
    lab.tick()
    assert is_fault(lab, "send-blocked")() and "no buffer space" in lab.link.fault.words
    lab.tick(30)
    monkeypatch.undo()
    lab.commands.clear()
    lab.tick(100)
    assert not TARGETS & set(lab.ids()), "after a gap no target, which would be a step, until it is cleared"
    lab.link.clear_fault(lab.now)
    lab.tick(3)
    assert abs(joint_1(lab)[0] - lab.position[0]) < 1e-3


def test_bus_off_is_found_at_once_and_nothing_moves_until_it_is_cleared(lab):
    lab.moving()
    lab.arm_bus.send(can.Message(arbitration_id=0x40, is_error_frame=True, data=bytes(8)))
    lab.mute = set(range(0x200, 0x300))
    lab.tick()
    assert is_fault(lab, "bus-off")() and not lab.link.sent
    lab.tick(20)
    lab.mute = set()
    lab.commands.clear()
    lab.until(lambda: lab.controller.at_rest, 200)
    lab.tick(20)
    assert not TARGETS & set(lab.ids())
    lab.link.clear_fault(lab.now)
    assert np.allclose(lab.tick().position[:6], lab.position[:6], atol=1e-4)
    assert lab.controller.mode is Mode.HOLD and lab.emulator.mode == "servo", "it never dropped"


def test_an_unplugged_adapter_is_opened_again_with_pauses(lab, monkeypatch):
    lab.moving()
    monkeypatch.setattr(lab.host_bus, "recv", fail_with("network is down"))
    lab.plugged = False
    assert lab.until(is_fault(lab, "bus-lost"), 10) * 5 <= 50
    assert "network is down" in lab.link.fault.words
    lab.tick(1000)
    assert 6 <= lab.opens <= 9, "0.1, 0.2, 0.5, then 1 s"
    with pytest.raises(ModeRefusedError, match="bus-lost"):
        lab.link.clear_fault(lab.now)
    monkeypatch.undo()
    lab.plugged = True
    lab.commands.clear()
    assert lab.until(lambda: lab.link.bus_is_open, 201) * 5 <= 1005
    assert not TARGETS & set(lab.ids()) and lab.link.reopened == 1
    lab.tick(60)
    lab.link.clear_fault(lab.now)
    lab.tick(3)
    assert abs(joint_1(lab)[0] - lab.position[0]) < 1e-3


def test_a_bus_lost_while_disabled_is_no_fault_but_no_torque_either(lab, monkeypatch):
    lab.tick(10)
    monkeypatch.setattr(lab.host_bus, "recv", fail_with("network is down"))
    lab.plugged = False
    lab.tick(10)
    assert lab.controller.mode is Mode.DISABLED
    with pytest.raises(ModeRefusedError, match=r"network is down.*\[bus-lost\]"):
        lab.switch(True)


def test_power_that_comes_back_needs_clear_and_enable(lab):
    lab.moving()
    lab.mute = set(range(0x200, 0x300))
    lab.until(is_fault(lab, "feedback-silent"), 30)
    lab.emulator.receive(codec.ENABLE_COMMAND, bytes([7, 1, 0, 0, 0, 0, 0, 0]))
    lab.mute = set()
    lab.until(lambda: lab.controller.at_rest, 200)
    lab.commands.clear()
    lab.tick(100)
    assert not TARGETS & set(lab.ids()) and lab.controller.mode is Mode.FAULT
    lab.link.clear_fault(lab.now)
    assert lab.controller.mode is Mode.DISABLED


def test_after_an_estop_nothing_more_is_sent(lab):
    lab.moving()
    lab.controller.estop()
    lab.tick()  # what was sent before
    lab.commands.clear()
    lab.tick(200)
    assert not TARGETS & set(lab.ids()) and lab.emulator.mode == "servo"
    assert lab.controller.mode is Mode.ESTOP
    lab.link.clear_fault(lab.now)
    assert np.allclose(lab.tick().position[:6], lab.position[:6], atol=1e-4)
