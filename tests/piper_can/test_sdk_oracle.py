"""The vendor's SDK as the oracle, 10,000 random values a frame: it reads what we send, and we read what it sends."""

import math

import can
import numpy as np
import pytest
from piper_can import MitTarget, codec, variant_of
from piper_can.bus import to_message
from piper_can.mit import decode_mit, encode_mit, torque_limit_nm
from piper_sdk.piper_msgs.msg_v2 import ArmMsgType, PiperMessage
from piper_sdk.protocol.protocol_v2 import C_PiperParserV2

VALUES = 10_000
PARSER = C_PiperParserV2()

PAIR_12, PAIR_34, PAIR_56 = (
    {f"Joint{a}": f"joint_{a}", f"Joint{a + 1}": f"joint_{a + 1}"} for a in (1, 3, 5)
)  # fmt: skip
POSES = {"X": "X_axis", "Y": "Y_axis"}, {"Z": "Z_axis", "RX": "RX_axis"}, {"RY": "RY_axis", "RZ": "RZ_axis"}
LEVELS = {f"Joint{joint}": f"joint_{joint}_protection_level" for joint in range(1, 7)}
LIMITS = {"Motor": "motor_num", "UpperAngle": "max_angle_limit", "LowerAngle": "min_angle_limit",
          "SpeedCount": "max_joint_spd"}  # fmt: skip
END_LIMITS = {"Speed": "end_max_linear_vel", "AngularSpeed": "end_max_angular_vel",
              "Acceleration": "end_max_linear_acc", "AngularAcceleration": "end_max_angular_acc"}  # fmt: skip
GRIPPER_SETTINGS = {"TeachPercent": "teaching_range_per", "MaxStroke": "max_range_config",
                    "TeachFriction": "teaching_friction"}  # fmt: skip
STATUS = {"CtrlMode": "ctrl_mode", "ArmStatus": "arm_status", "MoveMode": "mode_feed", "Teach": "teach_status",
          "Motion": "motion_status", "Trajectory": "trajectory_num"}  # fmt: skip
MODE = {"CtrlMode": "ctrl_mode", "MoveMode": "move_mode", "SpeedPercent": "move_spd_rate_ctrl", "MitMode": "mit_mode",
        "Dwell": "residence_time"}  # fmt: skip
GRIPPER = {"Stroke": "grippers_angle", "Effort": "grippers_effort", "Enable": "status_code", "SetZero": "set_zero"}
FAST = {"Velocity": "motor_speed", "Current": "current", "Position": "pos"}
SLOW = {
    "Voltage": "vol",
    "DriverTemperature": "foc_temp",
    "MotorTemperature": "motor_temp",
    "BusCurrent": "bus_current",
}

HIGHEST_CODE = {"CtrlMode": 7, "ArmStatus": 15, "MoveMode": 5, "Teach": 7}
"""Of the arm's status, as far as the SDK knows them: it reads all others as 255."""

COMMANDS = {
    0x150: ("MotionCtrl_1", "arm_motion_ctrl_1",
            {"Stop": "emergency_stop", "Track": "track_ctrl", "DragTeach": "grag_teach_ctrl"}),
    0x151: ("MotionCtrl_2", "arm_motion_ctrl_2", {**MODE, "Mount": "installation_pos"}),
    **{0x152 + k: (f"MotionCtrlCartesian_{k + 1}", "arm_motion_ctrl_cartesian", POSES[k]) for k in range(3)},
    0x155: ("JointCtrl_12", "arm_joint_ctrl", PAIR_12),
    0x156: ("JointCtrl_34", "arm_joint_ctrl", PAIR_34),
    0x157: ("JointCtrl_56", "arm_joint_ctrl", PAIR_56),
    0x158: ("CircularPatternCoordNumUpdateCtrl", "arm_circular_ctrl", {"Point": "instruction_num"}),
    0x159: ("GripperCtrl", "arm_gripper_ctrl", GRIPPER),
    0x470: ("MasterSlaveModeConfig", "arm_ms_config",
            {"Role": "linkage_config", "FeedbackOffset": "feedback_offset", "CommandOffset": "ctrl_offset",
             "LinkageOffset": "linkage_offset"}),
    0x471: ("MotorEnableDisableConfig", "arm_motor_enable", {"Motor": "motor_num", "Enable": "enable_flag"}),
    0x472: ("SearchMotorMaxAngleSpdAccLimit", "arm_search_motor_max_angle_spd_acc_limit",
            {"Motor": "motor_num", "Content": "search_content"}),
    0x474: ("MotorAngleLimitMaxSpdSet", "arm_motor_angle_limit_max_spd_set", LIMITS),
    0x475: ("JointConfig", "arm_joint_config",
            {"Motor": "joint_motor_num", "SetZero": "set_motor_current_pos_as_zero",
             "AccelerationValid": "acc_param_config_is_effective_or_not", "Acceleration": "max_joint_acc",
             "ClearError": "clear_joint_err"}),
    0x477: ("ParamEnquiryAndConfig", "arm_param_enquiry_and_config",
            {"Query": "param_enquiry", "Reset": "param_setting", "PeriodicFeedback": "data_feedback_0x48x",
             "LoadValid": "end_load_param_setting_effective", "Load": "set_end_load"}),
    0x479: ("EndVelAccParamConfig", "arm_end_vel_acc_param_config", END_LIMITS),
    0x47A: ("CrashProtectionRatingConfig", "arm_crash_protection_rating_config", LEVELS),
    0x47D: ("GripperTeachingPendantParamConfig", "arm_gripper_teaching_param_config", GRIPPER_SETTINGS),
}  # fmt: skip
"""Commands: type and part of the SDK's message, and its name for each of our signals."""

READ = {
    0x2A1: ("arm_status_msgs", STATUS),
    **{0x2A2 + k: ("arm_end_pose", POSES[k]) for k in range(3)},
    **{0x2A5 + k: ("arm_joint_feedback", names) for k, names in enumerate((PAIR_12, PAIR_34, PAIR_56))},
    0x2A8: ("gripper_feedback", {"Stroke": "grippers_angle", "Effort": "grippers_effort"}),
    **{0x251 + k: (f"arm_high_spd_feedback_{k + 1}", FAST) for k in range(6)},
    **{0x261 + k: (f"arm_low_spd_feedback_{k + 1}", SLOW) for k in range(6)},
    0x473: ("arm_feedback_current_motor_angle_limit_max_spd", LIMITS),
    0x476: ("arm_feedback_resp_set_instruction",
            {"Index": "instruction_index", "ZeroSet": "is_set_zero_successfully"}),
    0x478: ("arm_feedback_current_end_vel_acc_param", END_LIMITS),
    0x47B: ("arm_crash_protection_rating_feedback", LEVELS),
    0x47C: ("arm_feedback_current_motor_max_acc_limit", {"Motor": "joint_motor_num", "Acceleration": "max_joint_acc"}),
    0x47E: ("arm_gripper_teaching_param_feedback", GRIPPER_SETTINGS),
    0x151: ("arm_motion_ctrl_2", MODE),
    0x155: ("arm_joint_ctrl", PAIR_12),
    0x156: ("arm_joint_ctrl", PAIR_34),
    0x157: ("arm_joint_ctrl", PAIR_56),
    0x159: ("arm_gripper_ctrl", GRIPPER),
}  # fmt: skip
"""Frames that the SDK reads: part of its message, and its name for each of our signals."""

FLAG_BYTES = {
    0x2A1: ("err_code", {**{("AngleLimitJoints", bit): 8 + bit for bit in range(6)},
                         **{("CommErrorJoints", bit): bit for bit in range(6)}}),
    0x2A8: ("status_code", ["Undervoltage", "MotorOverheated", "Overcurrent", "DriverOverheated", "SensorError",
                            "DriverError", "Enabled", "Homed"]),
    **dict.fromkeys(range(0x261, 0x267), (
        "foc_status_code", ["Undervoltage", "MotorOverheated", "Overcurrent", "DriverOverheated", "Collision",
                            "DriverError", "Enabled", "Stalled"])),
}  # fmt: skip


def random_counts(frame_id, names):
    """Random counts of the wire within our ranges, and the SI values that they stand for; a list for each signal."""
    rng = np.random.default_rng(frame_id)
    message = codec.DATABASE.get_message_by_frame_id(frame_id)
    counts, values = {}, {}
    for name in names:
        signal = message.get_signal_by_name(name)
        low, high = (round((end - signal.offset) / signal.scale) for end in (signal.minimum, signal.maximum))
        if frame_id == codec.ARM_STATUS:
            high = HIGHEST_CODE.get(name, high)
        if signal.choices and "Host" in message.senders:
            drawn = rng.choice(sorted(signal.choices), VALUES)
        else:
            drawn = rng.integers(low, high, VALUES, endpoint=True)
        factor = signal.scale * (math.pi / 180 if signal.unit == "deg" else 1)
        counts[name] = drawn.tolist()
        values[name] = drawn.tolist() if signal.scale == 1 else (drawn * factor + signal.offset).tolist()
    return counts, values


def rows(columns):
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


@pytest.mark.parametrize("frame_id", COMMANDS, ids=hex)
def test_commands_are_the_sdks_byte_for_byte_and_read_back(frame_id):
    kind, part, names = COMMANDS[frame_id]
    counts, values = random_counts(frame_id, names)
    message, raw = PiperMessage(type_=getattr(ArmMsgType, f"PiperMsg{kind}")), can.Message(is_extended_id=False)
    target, attributes = getattr(message, part), [names[name] for name in counts]
    read = {name: [] for name in names}
    for row, ours in zip(zip(*counts.values(), strict=True), rows(values), strict=True):
        for attribute, count in zip(attributes, row, strict=True):
            setattr(target, attribute, count)
        PARSER.EncodeMessage(message, raw)
        theirs = bytes(raw.data)
        assert codec.encode(frame_id, ours) == (raw.arbitration_id, theirs)
        decoded = codec.decode(frame_id, theirs)
        for name, column in read.items():
            column.append(decoded[name])
    for name, column in read.items():
        np.testing.assert_allclose(column, values[name], atol=1e-9)


@pytest.mark.parametrize("frame_id", READ, ids=hex)
def test_the_sdk_reads_what_we_send(frame_id):
    part, names = READ[frame_id]
    flag_attribute, flags = FLAG_BYTES.get(frame_id, ("", {}))
    bits = {(name, 0): bit for bit, name in enumerate(flags)} if isinstance(flags, list) else flags
    signals = [*names, *dict.fromkeys(name for name, _ in bits)]
    omitted = {"Mount": 0} if frame_id == codec.MODE_COMMAND else {}
    counts, values = random_counts(frame_id, signals)
    message = PiperMessage()
    target, attributes = getattr(message, part), [names[name] for name in names]
    read, flag_words = [], []
    for ours in rows(values):
        frame = codec.encode(frame_id, ours | omitted)
        assert PARSER.DecodeMessage(to_message(*frame), message)
        read.append([getattr(target, attribute) for attribute in attributes])
        flag_words.append(getattr(target, flag_attribute) if flag_attribute else 0)
    np.testing.assert_array_equal(np.array(read).T, [counts[name] for name in names])
    for (name, bit), position in bits.items():
        np.testing.assert_array_equal(np.array(flag_words) >> position & 1, np.array(counts[name]) >> bit & 1)


@pytest.mark.parametrize("joint", range(6))
def test_mit_frames_before_s_v1_8_8(joint):
    """Byte for byte where the value lies on the wire's grid; the SDK rounds down and we round to the nearest."""
    variant = variant_of("S-V1.8-5")
    frame_id = codec.MIT_TARGETS[joint]
    fields = {"Position": "pos_ref", "Velocity": "vel_ref", "Kp": "kp", "Kd": "kd"}
    counts, values = random_counts(frame_id, fields)
    torque = np.random.default_rng(joint).integers(0, 255, VALUES, endpoint=True)
    torque_nm = (2 * torque / 255 - 1) * torque_limit_nm(variant, joint)
    message = PiperMessage(type_=getattr(ArmMsgType, f"PiperMsgJointMitCtrl_{joint + 1}"))
    raw, target = can.Message(is_extended_id=False), message.arm_joint_mit_ctrl
    for row, ours, count, nm in zip(
        zip(*counts.values(), strict=True), rows(values), torque.tolist(), torque_nm.tolist(), strict=True
    ):
        target.pos_ref, target.vel_ref, target.kp, target.kd = row
        target.t_ref = count
        PARSER.EncodeMessage(message, raw)
        theirs = codec.Frame(raw.arbitration_id, bytes(raw.data))
        wanted = MitTarget(*ours.values(), nm)
        assert encode_mit(joint, wanted, variant) == theirs
        read = decode_mit(theirs, variant)
        assert abs(read.position_rad - wanted.position_rad) + abs(read.torque_nm - nm) + abs(read.kd - wanted.kd) < 1e-9
