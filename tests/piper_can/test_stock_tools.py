"""Stock piper_sdk and piper_control drive our virtual arm: enable, move, gripper, stop."""

import uuid

import numpy as np
import pytest
from piper_can import codec
from piper_control import piper_init, piper_interface
from stock_arm import StockArm, says_firmware, stock_sdk, wait_for

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of python-can, for what the SDK calls

LOWER_DEG, UPPER_DEG = [-150, 0, -170, -100, -70, -120], [150, 180, 0, 100, 70, 120]
GOAL_RAD = np.array([0.4, 0.6, -0.7, 0.2, 0.3, -0.5])


@pytest.fixture
def arm():
    channel = f"stock_{uuid.uuid4().hex}"
    arm = StockArm(channel)
    sdk = stock_sdk(channel)
    yield arm, sdk, channel
    sdk.DisconnectPort()
    arm.close()


def test_piper_sdk_enables_moves_grips_and_stops(arm):
    arm, sdk, _ = arm
    assert says_firmware(sdk, "S-V1.8-5")
    limits = sdk.GetCurrentMotorAngleLimitMaxVel().current_motor_angle_limit_max_vel  # one object for all answers
    for joint, (lower, upper) in enumerate(zip(LOWER_DEG, UPPER_DEG, strict=True), start=1):
        sdk.SearchMotorMaxAngleSpdAccLimit(joint, 0x01)
        assert wait_for(lambda joint=joint: limits.motor_num == joint)
        assert (limits.min_angle_limit, limits.max_angle_limit, limits.max_joint_spd) == (10 * lower, 10 * upper, 300)

    assert not any(sdk.GetArmEnableStatus())
    assert wait_for(sdk.EnablePiper) and arm.emulator.mode == "servo"

    target = [round(angle) for angle in np.degrees(GOAL_RAD) * 1000]

    def joints():
        state = sdk.GetArmJointMsgs().joint_state
        return [getattr(state, f"joint_{j}") for j in range(1, 7)]

    def commanded(what, *arguments):
        sdk.MotionCtrl_2(0x01, 0x01, 100, 0x00)
        what(*arguments)

    commanded(sdk.JointCtrl, *target)
    assert wait_for(lambda: joints() == target)
    assert wait_for(lambda: sdk.GetArmStatus().arm_status.motion_status == 0)
    pose = sdk.GetArmEndPoseMsgs().end_pose
    assert 0 < pose.X_axis < 700_000 and sdk.GetArmStatus().arm_status.ctrl_mode == 1

    sdk.GripperCtrl(50_000, 1000, 0x01, 0)
    assert wait_for(lambda: sdk.GetArmGripperMsgs().gripper_state.grippers_angle == 50_000)
    assert sdk.GetArmGripperMsgs().gripper_state.foc_status.driver_enable_status

    sdk.CrashProtectionConfig(1, 2, 3, 4, 5, 6)
    sdk.ArmParamEnquiryAndConfig(0x02, 0x00, 0x00, 0x00, 0x03)
    levels = sdk.GetCrashProtectionLevelFeedback
    assert wait_for(lambda: levels().crash_protection_level_feedback.joint_6_protection_level == 6)

    sdk.EmergencyStop(0x01)
    assert wait_for(lambda: sdk.GetArmStatus().arm_status.arm_status == 1)
    assert arm.emulator.mode == "damped"
    sdk.JointCtrl(0, 0, 0, 0, 0, 0)
    assert not wait_for(lambda: joints() != target, timeout_s=0.3)


def test_piper_control_resets_enables_moves_grips_and_stops(arm):
    arm, sdk, channel = arm
    robot = piper_interface.PiperInterface(channel)
    assert robot.piper is sdk and says_firmware(sdk, "S-V1.8-5")
    assert robot.get_piper_firmware_version() == "1.8.post5"

    piper_init.reset_arm(robot, timeout_seconds=60.0)
    assert robot.is_arm_enabled() and robot.control_mode is piper_interface.ControlMode.CAN_COMMAND
    piper_init.reset_gripper(robot, timeout_seconds=60.0)
    assert robot.is_gripper_enabled()

    robot.command_joint_positions(GOAL_RAD.tolist())
    assert wait_for(lambda: np.allclose(robot.get_joint_positions(), GOAL_RAD, atol=1e-4))
    robot.command_gripper(0.06, 1.0)
    assert wait_for(lambda: abs(robot.get_gripper_state()[0] - 0.06) < 1e-5)
    np.testing.assert_allclose(arm.position[:6], GOAL_RAD, atol=1e-4)

    robot.set_emergency_stop(piper_interface.EmergencyStop.STOP)
    assert wait_for(lambda: robot.arm_status is piper_interface.ArmStatus.EMERGENCY_STOP)
    assert arm.emulator.mode == "damped"
    assert {codec.STOP_COMMAND, codec.ENABLE_COMMAND, codec.MODE_COMMAND, codec.GRIPPER_COMMAND} <= arm.commands
