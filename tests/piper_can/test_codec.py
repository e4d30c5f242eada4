"""Frames against the stock vendor SDK in both directions, and what must not go on the wire."""

import math
import random

import can
import numpy as np
import pytest
from piper_can import codec
from piper_can.bus import to_message
from piper_can.errors import BadFrameError, PiperCanError, UnknownFrameError, ValueOutOfRangeError
from piper_description import JOINT_LIMITS
from piper_sdk.piper_msgs.msg_v2 import ArmMsgType, PiperMessage
from piper_sdk.piper_msgs.msg_v2.transmit import (
    ArmMsgGripperCtrl,
    ArmMsgJointCtrl,
    ArmMsgMasterSlaveModeConfig,
    ArmMsgMotionCtrl_1,
    ArmMsgMotionCtrl_2,
    ArmMsgMotorEnableDisableConfig,
)
from piper_sdk.protocol.protocol_v2 import C_PiperParserV2

SAMPLES = 300
MILLIDEGREE = math.radians(0.001)


def sdk_parse(frame):
    message = PiperMessage()
    assert C_PiperParserV2().DecodeMessage(to_message(frame.frame_id, frame.data), message)
    return message


def sdk_encode(kind, **parts):
    message = PiperMessage(type_=kind, **parts)
    raw = can.Message(is_extended_id=False)
    assert C_PiperParserV2().EncodeMessage(message, raw)
    return codec.Frame(raw.arbitration_id, bytes(raw.data))


def random_targets(rng):
    return [rng.randint(round(math.degrees(lo) * 1000), round(math.degrees(hi) * 1000)) for lo, hi in LIMITS]


LIMITS = list(zip(JOINT_LIMITS.lower[:6], JOINT_LIMITS.upper[:6], strict=True))


def test_sdk_reads_our_joint_targets():
    rng = random.Random(1)
    for _ in range(SAMPLES):
        wire = random_targets(rng)
        frames = codec.encode_joint_targets([w * MILLIDEGREE for w in wire])
        assert [f.frame_id for f in frames] == [0x155, 0x156, 0x157]
        parsed = [sdk_parse(f).arm_joint_ctrl for f in frames]
        assert [
            parsed[0].joint_1, parsed[0].joint_2, parsed[1].joint_3,
            parsed[1].joint_4, parsed[2].joint_5, parsed[2].joint_6,
        ] == wire  # fmt: skip


def test_we_read_the_sdk_joint_targets():
    rng = random.Random(2)
    kinds = [ArmMsgType.PiperMsgJointCtrl_12, ArmMsgType.PiperMsgJointCtrl_34, ArmMsgType.PiperMsgJointCtrl_56]
    for _ in range(SAMPLES):
        wire = random_targets(rng)
        values = {}
        for kind in kinds:
            frame = sdk_encode(kind, arm_joint_ctrl=ArmMsgJointCtrl(*wire))
            values |= codec.decode(*frame)
        np.testing.assert_allclose([values[f"Joint{j}"] for j in range(1, 7)], np.array(wire) * MILLIDEGREE, atol=1e-12)


def test_mode_command_both_ways():
    rng = random.Random(3)
    for _ in range(SAMPLES):
        fields = [rng.choice([0, 1, 3, 4, 7]), rng.randint(0, 5), rng.randint(0, 100), rng.choice([0, 0xAD]),
                  rng.randint(0, 255), rng.randint(0, 3)]  # fmt: skip
        names = ["CtrlMode", "MoveMode", "SpeedPercent", "MitMode", "Dwell", "Mount"]
        ours = codec.encode(codec.MODE_COMMAND, dict(zip(names, fields, strict=True)))
        theirs = sdk_encode(ArmMsgType.PiperMsgMotionCtrl_2, arm_motion_ctrl_2=ArmMsgMotionCtrl_2(*fields))
        assert ours == theirs
        parsed = sdk_parse(ours).arm_motion_ctrl_2
        assert [parsed.ctrl_mode, parsed.move_mode, parsed.move_spd_rate_ctrl] == fields[:3]
        assert [codec.decode(*theirs)[name] for name in names] == fields


def test_stop_role_and_enable_commands_equal_the_sdk():
    for stop in (0, 1, 2):
        theirs = sdk_encode(ArmMsgType.PiperMsgMotionCtrl_1, arm_motion_ctrl_1=ArmMsgMotionCtrl_1(stop, 0, 0))
        assert codec.encode(codec.STOP_COMMAND, {"Stop": stop}) == theirs
    for motor in (1, 2, 3, 4, 5, 6, 7, 0xFF):
        for flag in (1, 2):
            theirs = sdk_encode(
                ArmMsgType.PiperMsgMotorEnableDisableConfig,
                arm_motor_enable=ArmMsgMotorEnableDisableConfig(motor, flag),
            )
            assert codec.encode(codec.ENABLE_COMMAND, {"Motor": motor, "Enable": flag}) == theirs
    for role in (0xFA, 0xFC):
        theirs = sdk_encode(
            ArmMsgType.PiperMsgMasterSlaveModeConfig, arm_ms_config=ArmMsgMasterSlaveModeConfig(role, 0x10, 0x20, 0)
        )
        values = {"Role": role, "FeedbackOffset": 0x10, "CommandOffset": 0x20}
        assert codec.encode(codec.ROLE_COMMAND, values) == theirs


def test_gripper_command_both_ways():
    rng = random.Random(4)
    for _ in range(SAMPLES):
        stroke, effort, enable = rng.randint(0, 100_000), rng.randint(0, 5000), rng.randint(0, 3)
        zero = rng.choice([0, 0xAE])
        values = {"Stroke": stroke * 1e-6, "Effort": effort * 1e-3, "Enable": enable, "SetZero": zero}
        ours = codec.encode(codec.GRIPPER_COMMAND, values)
        theirs = sdk_encode(
            ArmMsgType.PiperMsgGripperCtrl, arm_gripper_ctrl=ArmMsgGripperCtrl(stroke, effort, enable, zero)
        )
        assert ours == theirs
        assert codec.decode(*theirs) == pytest.approx(values, abs=1e-12)


def test_sdk_reads_our_joint_and_pose_feedback():
    rng = random.Random(5)
    for _ in range(SAMPLES):
        wire = [rng.randint(-180_000, 180_000) for _ in range(6)]
        frames = codec.encode_pairs(codec.JOINT_FEEDBACK, codec.JOINT_SIGNALS, [w * MILLIDEGREE for w in wire])
        parsed = [sdk_parse(f).arm_joint_feedback for f in frames]
        assert [
            parsed[0].joint_1, parsed[0].joint_2, parsed[1].joint_3,
            parsed[1].joint_4, parsed[2].joint_5, parsed[2].joint_6,
        ] == wire  # fmt: skip
        metres = [rng.randint(-900_000, 900_000) for _ in range(3)]
        pose = [w * 1e-6 for w in metres] + [w * MILLIDEGREE for w in wire[:3]]
        frames = codec.encode_pairs(codec.END_POSE, codec.END_POSE_SIGNALS, pose)
        parsed = [sdk_parse(f).arm_end_pose for f in frames]
        assert [
            parsed[0].X_axis, parsed[0].Y_axis, parsed[1].Z_axis,
            parsed[1].RX_axis, parsed[2].RY_axis, parsed[2].RZ_axis,
        ] == metres + wire[:3]  # fmt: skip


def test_sdk_reads_our_status_and_gripper_feedback():
    rng = random.Random(6)
    for _ in range(SAMPLES):
        fields = [rng.randint(0, 7), rng.randint(0, 15), rng.randint(0, 5), 0, rng.randint(0, 1), 0]
        bits = rng.randint(0, 63), rng.randint(0, 63)
        names = ["CtrlMode", "ArmStatus", "MoveMode", "Teach", "Motion", "Trajectory"]
        values = dict(zip(names, fields, strict=True)) | {"AngleLimitJoints": bits[0], "CommErrorJoints": bits[1]}
        parsed = sdk_parse(codec.encode(codec.ARM_STATUS, values)).arm_status_msgs
        assert [parsed.ctrl_mode, parsed.arm_status, parsed.mode_feed, parsed.motion_status] == [
            *fields[:3],
            fields[4],
        ]
        assert parsed.err_code == bits[0] << 8 | bits[1]

        stroke, effort = rng.randint(-200, 100_000), rng.randint(-5000, 5000)
        flags = {name: rng.randint(0, 1) for name in GRIPPER_BITS}
        values = {"Stroke": stroke * 1e-6, "Effort": effort * 1e-3, **flags}
        parsed = sdk_parse(codec.encode(codec.GRIPPER_FEEDBACK, values)).gripper_feedback
        assert (parsed.grippers_angle, parsed.grippers_effort) == (stroke, effort)
        assert parsed.status_code == sum(flags[name] << bit for bit, name in enumerate(GRIPPER_BITS))


GRIPPER_BITS = ["Undervoltage", "MotorOverheated", "Overcurrent", "DriverOverheated", "SensorError", "DriverError",
                "Enabled", "Homed"]  # fmt: skip
MOTOR_BITS = ["Undervoltage", "MotorOverheated", "Overcurrent", "DriverOverheated", "Collision", "DriverError",
              "Enabled", "Stalled"]  # fmt: skip


@pytest.mark.parametrize("joint", range(1, 7))
def test_sdk_reads_our_motor_feedback(joint):
    rng = random.Random(joint)
    for _ in range(SAMPLES // 3):
        speed, current, position = rng.randint(-5000, 5000), rng.randint(-9000, 9000), rng.randint(-4000, 4000)
        values = {"Velocity": speed * 1e-3, "Current": current * 1e-3, "Position": position * 1e-3}
        parsed = getattr(sdk_parse(codec.encode(codec.MOTOR_FAST[joint - 1], values)), f"arm_high_spd_feedback_{joint}")
        assert (parsed.motor_speed, parsed.current, parsed.pos) == (speed, current, position)

        volts, driver, motor, amps = (
            rng.randint(0, 600),
            rng.randint(-20, 90),
            rng.randint(-20, 90),
            rng.randint(0, 9000),
        )
        flags = {name: rng.randint(0, 1) for name in MOTOR_BITS}
        values = {"Voltage": volts * 0.1, "DriverTemperature": driver, "MotorTemperature": motor,
                  "BusCurrent": amps * 1e-3, **flags}  # fmt: skip
        parsed = getattr(sdk_parse(codec.encode(codec.MOTOR_SLOW[joint - 1], values)), f"arm_low_spd_feedback_{joint}")
        assert (parsed.vol, parsed.foc_temp, parsed.motor_temp, parsed.bus_current) == (volts, driver, motor, amps)
        assert parsed.foc_status_code == sum(flags[name] << bit for bit, name in enumerate(MOTOR_BITS))


def test_every_frame_survives_a_round_trip_at_its_ends():
    for message in codec.load_database().messages:
        for end in ("minimum", "maximum"):
            values = {}
            for signal in message.signals:
                value = getattr(signal, end)
                values[signal.name] = math.radians(value) if signal.unit == "deg" else value
            back = codec.decode(*codec.encode(message.frame_id, values))
            assert back == pytest.approx(values, rel=1e-12), message.name


def test_joint_limits_of_the_dbc_are_the_robots():
    for joint, (lower, upper) in enumerate(LIMITS):
        q = [0.0] * 6
        for limit, outside in ((lower, lower - 1e-4), (upper, upper + 1e-4)):
            q[joint] = float(limit)
            codec.encode_joint_targets(q)
            q[joint] = float(outside)
            with pytest.raises(ValueOutOfRangeError, match=f"Joint{joint + 1}"):
                codec.encode_joint_targets(q)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 1e12, -1e12])
def test_values_that_do_not_fit_raise_and_never_wrap(bad):
    for frame_id, name in [
        (0x155, "Joint1"),
        (0x159, "Stroke"),
        (0x159, "Effort"),
        (0x251, "Velocity"),
        (0x2A5, "Joint2"),
    ]:
        with pytest.raises(ValueOutOfRangeError, match=name):
            codec.encode(frame_id, {name: bad})


def test_errors_are_one_family_and_say_what_to_do():
    with pytest.raises(UnknownFrameError, match="no frame 0x123"):
        codec.encode(0x123, {})
    with pytest.raises(UnknownFrameError, match="has no signal 'Jiont1'; it has Joint1, Joint2"):
        codec.encode(0x155, {"Jiont1": 0.0})
    with pytest.raises(BadFrameError, match="3 bytes; expected 8"):
        codec.decode(0x2A5, b"abc")
    with pytest.raises(ValueOutOfRangeError, match="expected 6"):
        codec.encode_joint_targets([0.0] * 5)
    with pytest.raises(PiperCanError, match="SpeedPercent of frame 0x151 is 101 %; expected 0 to 100 %"):
        codec.encode(0x151, {"SpeedPercent": 101})
