"""What the arm keeps in its flash, asked of the virtual lab's firmware; what is set is read back."""

import math

import numpy as np
import pytest
from piper_can import codec, variant_of
from piper_can.settings import REPLIES, SettingsReader
from piper_description import JOINT_LIMITS
from virtual_lab.arm_emulator import ArmEmulator, PlantReading

VARIANT = variant_of("S-V1.8-5")


class Arm:
    """An emulator and a reader of its answers."""

    def __init__(self):
        self.emulator = ArmEmulator(PlantReading(np.zeros(7), np.zeros(7), np.zeros(7)))
        self.reader = SettingsReader()
        self.now_ns = 0

    def send(self, frame_id, values):
        self.now_ns += 1000
        frames = self.emulator.receive(*codec.encode(frame_id, values))
        for frame in frames:
            assert frame.frame_id in REPLIES
            self.reader.take(*frame, self.now_ns)
            assert self.emulator.receive(*frame) == []  # its own echo
        return frames

    def ask_limits(self, motor=7):
        return [self.send(codec.LIMITS_QUERY, {"Motor": motor, "Content": content}) for content in (1, 2)]


@pytest.fixture
def arm():
    return Arm()


def test_limits_are_there_once_all_joints_answered(arm):
    for motor in range(1, 7):
        assert arm.reader.limits(VARIANT) is None
        arm.ask_limits(motor)
    limits = arm.reader.limits(VARIANT)
    np.testing.assert_allclose(limits.lower_rad, JOINT_LIMITS.lower[:6], atol=1e-9)
    np.testing.assert_allclose(limits.upper_rad, JOINT_LIMITS.upper[:6], atol=1e-9)
    np.testing.assert_allclose(limits.speed_rad_s, 3.0)
    np.testing.assert_allclose(limits.acceleration_rad_s2, 5.0)
    assert limits.stamp_ns == 1000 and limits.problems() == ()
    with pytest.raises(ValueError, match="read-only"):
        limits.speed_rad_s[0] = 9.0


def test_limits_that_a_firmware_lost_are_named(arm):
    arm.ask_limits()
    lost = {"Motor": 2, "UpperAngle": math.radians(-0.1), "LowerAngle": math.radians(-0.1), "SpeedCount": 3000}
    arm.reader.take(*codec.encode(codec.LIMITS_REPLY, lost), 5)
    arm.reader.take(*codec.encode(codec.ACCELERATION_REPLY, {"Motor": 6, "Acceleration": 655.35}), 5)
    assert arm.reader.limits(VARIANT).problems() == (
        "joint2 may move from -0.1 to -0.1 deg only",
        "joint2 has a speed limit of 30.00 rad/s",
        "joint6 has an acceleration limit of 655.35 rad/s2",
    )


def test_what_is_set_is_read_back_and_acknowledged(arm):
    wanted = {"Motor": 3, "UpperAngle": math.radians(-10), "LowerAngle": math.radians(-90.5), "SpeedCount": 150}
    (reply,) = arm.send(codec.LIMITS_COMMAND, wanted)
    assert reply.frame_id == codec.SETTING_REPLY
    assert (arm.reader.last_reply.command_id, arm.reader.last_reply.zero_set) == (codec.LIMITS_COMMAND, False)
    arm.send(codec.JOINT_COMMAND, {"Motor": 3, "AccelerationValid": 0xAE, "Acceleration": 2.5})
    arm.ask_limits()
    limits = arm.reader.limits(VARIANT)
    assert math.degrees(limits.lower_rad[2]) == pytest.approx(-90.5)
    assert (limits.speed_rad_s[2], limits.acceleration_rad_s2[2]) == pytest.approx((1.5, 2.5))
    assert limits.speed_rad_s[1] == pytest.approx(3.0)
    arm.send(codec.COLLISION_COMMAND, {f"Joint{j}": j for j in range(1, 7)})
    arm.send(codec.GRIPPER_SETTINGS_COMMAND, {"TeachPercent": 150, "MaxStroke": 0.1, "TeachFriction": 5})
    arm.send(codec.END_LIMITS_COMMAND, {"Speed": 0.2, "AngularSpeed": 32.767})
    for query in (1, 2, 4):
        arm.send(codec.SETTINGS_COMMAND, {"Query": query, "Load": 3})
    assert arm.reader.collision_levels == (1, 2, 3, 4, 5, 6)
    assert (arm.reader.gripper.max_stroke_m, arm.reader.gripper.teach_friction) == (pytest.approx(0.1), 5)
    assert arm.reader.flange_speed_m_s == pytest.approx(0.2)


def test_acknowledgements_name_their_command(arm):
    for index, command_id in ((0x50, 0x150), (0x71, 0x471), (0x75, 0x475)):
        arm.reader.take(*codec.encode(codec.SETTING_REPLY, {"Index": index, "ZeroSet": 1}), 9)
        assert (arm.reader.last_reply.command_id, arm.reader.last_reply.zero_set) == (command_id, True)
