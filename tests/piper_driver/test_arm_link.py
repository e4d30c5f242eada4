"""Arm link: torque on and off, faults, and a bus that fails, against the firmware of the virtual lab; made-up time."""

import itertools

import can
import numpy as np
import pytest
from motion_control import ArmController, Mode, ModeRefusedError, MotionLimits
from piper_can import PiperHost, codec, open_bus
from piper_can.bus import to_message
from piper_description import HOME_POSITION, JOINT_LIMITS
from piper_driver.arm_link import ArmLink
from virtual_lab.arm_emulator import ArmEmulator, PlantReading

PERIOD = 5_000_000
CHANNELS = (f"arm_link_{i}" for i in itertools.count())


class Lab:
    """A link and an arm on a virtual bus, ticked together."""

    def __init__(self, position=HOME_POSITION):
        channel = next(CHANNELS)
        self.host_bus, self.arm_bus = open_bus("virtual", channel), open_bus("virtual", channel)
        self.position = np.array(position, dtype=float)
        self.emulator = ArmEmulator(PlantReading(self.position, np.zeros(7), np.zeros(7)))
        self.controller = ArmController(MotionLimits.default(), PERIOD)
        self.host = PiperHost(self.host_bus)
        self.link = ArmLink(self.host, self.controller, 1.0)
        self.now = 10**9
        self.commands = []
        self.answers = []
        self.deaf = False
        self.change = lambda frame: frame

    def tick(self, count=1):
        for _ in range(count):
            self.now += PERIOD
            while (message := self.arm_bus.recv(0)) is not None:
                self.commands.append((message.arbitration_id, bytes(message.data)))
                if not self.deaf:
                    for frame in self.emulator.receive(message.arbitration_id, message.data):
                        self.arm_bus.send(to_message(*self.change(frame)))
            self.position = self.emulator.step(0.005).setpoint.copy()
            for frame in self.emulator.feedback(PlantReading(self.position, np.zeros(7), np.zeros(7))):
                self.arm_bus.send(to_message(*self.change(frame)))
            setpoint = self.link.tick(self.now)
        return setpoint

    def switch(self, on):
        self.link.switch_torque(on, self.now, lambda *answer: self.answers.append(answer))

    def enabled(self):
        self.tick(10)
        self.switch(True)
        self.tick(20)
        assert self.answers == [(True, "torque is on; the arm holds")]
        return self

    def ids(self):
        return [frame_id for frame_id, _ in self.commands]


@pytest.fixture
def lab():
    made = Lab()
    yield made
    made.host_bus.shutdown()
    made.arm_bus.shutdown()


def test_disabled_sends_nothing(lab):
    lab.tick(50)
    assert lab.commands == []


def test_enable_turns_torque_on_then_selects_the_mode_then_streams(lab):
    lab.enabled()
    assert lab.controller.mode is Mode.HOLD and lab.emulator.mode == "servo"
    ids = lab.ids()
    first_target = ids.index(0x155)
    assert 0x471 in ids[:first_target] and ids[first_target - 1] == 0x151
    assert set(ids[first_target:]) <= {0x151, 0x155, 0x156, 0x157, 0x159}
    first = codec.decode(0x155, lab.commands[first_target][1])
    assert first["Joint2"] == pytest.approx(HOME_POSITION[1], abs=2e-5)
    lab.commands.clear()
    lab.tick(200)
    assert lab.ids().count(0x155) == 200 and lab.ids().count(0x151) == 1


def test_an_arm_that_does_not_answer_is_reported_by_joint(lab):
    lab.host.request_firmware()
    lab.tick(10)
    lab.deaf = True
    lab.switch(True)
    lab.tick(610)
    (answer,) = lab.answers
    assert answer[0] is False and "joint1, joint2" in answer[1] and "torque on within 3 s" in answer[1]
    assert lab.controller.mode is Mode.DISABLED
    assert 55 <= lab.ids().count(0x471) <= 62


def test_no_torque_without_a_firmware_version(lab):
    lab.tick(10)
    lab.deaf = True
    lab.switch(True)
    lab.tick(610)
    assert lab.answers[0][0] is False and "did not say its firmware version within 3 s" in lab.answers[0][1]
    assert set(lab.ids()) == {codec.FIRMWARE} and lab.controller.mode is Mode.DISABLED


def test_no_torque_for_a_firmware_that_is_not_known(lab):
    def newer(frame):
        return codec.Frame(frame.frame_id, frame.data.replace(b"V1.8", b"V3.8").replace(b"S-V1", b"S-V3"))

    lab.change = lambda frame: newer(frame) if frame.frame_id == codec.FIRMWARE else frame
    lab.tick(10)
    lab.switch(True)
    lab.tick(30)
    assert lab.answers[0][0] is False and "update Armature" in lab.answers[0][1]
    assert 0x471 not in lab.ids() and lab.emulator.mode == "off"


def test_enable_is_refused_before_any_torque(lab):
    with pytest.raises(ModeRefusedError, match="fresh feedback"):
        lab.switch(True)
    lab.emulator.receive(0x150, bytes([1, 0, 0, 0, 0, 0, 0, 0]))
    lab.tick(10)
    with pytest.raises(ModeRefusedError, match="EMERGENCY_STOP"):
        lab.switch(True)
    assert lab.commands == []


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


def test_a_bus_that_takes_nothing_is_a_fault(lab, monkeypatch):
    lab.enabled()

    def full(*_args, **_kwargs):
        raise can.CanOperationError("no buffer space available")

    monkeypatch.setattr(lab.host_bus, "send", full)
    lab.tick(1)
    assert lab.controller.mode is Mode.HOLD, "one lost tick is no fault"
    lab.tick(1)
    assert lab.controller.mode is Mode.FAULT and "no buffer space" in lab.controller.modes.reason
    assert lab.link.bus_errors == 2


def test_a_bus_that_cannot_be_read_is_lost_after_a_second(lab, monkeypatch):
    lab.enabled()

    def gone(*_args, **_kwargs):
        raise can.CanOperationError("network is down")

    monkeypatch.setattr(lab.host_bus, "recv", gone)
    lab.tick(110)
    assert lab.controller.mode is Mode.FAULT and "no feedback" in lab.controller.modes.reason
    assert not lab.link.bus_lost(lab.now)
    lab.tick(100)
    assert lab.link.bus_lost(lab.now) and "network is down" in lab.link.last_bus_error
    monkeypatch.undo()
    lab.tick(1)
    assert not lab.link.bus_lost(lab.now)
