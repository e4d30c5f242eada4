"""The MuJoCo model against the kinematics, and its inertials against physics."""

import mujoco
import numpy as np
import pytest
from piper_description import JOINT_LIMITS, JOINT_NAMES, T_FLANGE_TCP, FirmwareZero, forward_kinematics
from piper_description.mjcf import piper_mjcf


@pytest.mark.parametrize("zero", FirmwareZero)
def test_flange_and_tcp_agree_with_the_kinematics(zero):
    model = mujoco.MjModel.from_xml_string(piper_mjcf(zero))
    data = mujoco.MjData(model)
    for q in np.random.default_rng(1).uniform(JOINT_LIMITS.lower[:6], JOINT_LIMITS.upper[:6], (50, 6)):
        data.qpos[:6] = q
        mujoco.mj_kinematics(model, data)
        T_base_flange = forward_kinematics(q, zero)
        assert np.linalg.norm(data.site("flange").xpos - T_base_flange[:3, 3]) < 0.2e-3
        np.testing.assert_allclose(data.site("flange").xmat.reshape(3, 3), T_base_flange[:3, :3], atol=1e-6)
        assert np.linalg.norm(data.site("tcp").xpos - (T_base_flange @ T_FLANGE_TCP)[:3, 3]) < 0.2e-3


def test_servos_are_in_joint_order_and_within_the_limits():
    model = mujoco.MjModel.from_xml_string(piper_mjcf())
    assert tuple(model.actuator(i).name for i in range(model.nu)) == JOINT_NAMES
    np.testing.assert_allclose(model.actuator_ctrlrange[:, 0], JOINT_LIMITS.lower)
    np.testing.assert_allclose(model.actuator_ctrlrange[:, 1], JOINT_LIMITS.upper)


def test_mass_and_inertias_are_possible():
    model = mujoco.MjModel.from_xml_string(piper_mjcf())
    arm_mass = sum(model.body(f"link{i}").mass[0] for i in range(1, 7)) + model.body("base_link").mass[0]
    assert abs(arm_mass - 4.16) < 0.01
    for name in ("base_link", *(f"link{i}" for i in range(1, 7)), "gripper_base", "finger_left"):
        a, b, c = sorted(model.body(name).inertia)
        assert a > 0
        assert a + b >= c * 0.999, f"{name}: no body has these principal moments: {a} {b} {c}"
        gyration_m = np.sqrt(c / model.body(name).mass[0])
        assert gyration_m < 0.2, f"{name}: radius of gyration {gyration_m:.3f} m is larger than the link"


def test_servos_hold_and_reach_a_pose_against_gravity():
    model = mujoco.MjModel.from_xml_string(piper_mjcf())
    data = mujoco.MjData(model)
    target = np.array([0.3, 1.2, -0.9, 0.2, 0.7, -0.4, 0.05])
    data.ctrl[:] = target
    for _ in range(600):
        mujoco.mj_step(model, data)
    assert data.time == pytest.approx(3.0), "the simulation became unstable and was reset"
    np.testing.assert_allclose(data.qpos[:6], target[:6], atol=2e-3)
    assert abs(data.qpos[6] + data.qpos[7] - target[6]) < 1e-3
    assert abs(data.qpos[6] - data.qpos[7]) < 1e-3
