"""The URDF, read by MuJoCo, is the arm of the kinematics."""

import xml.etree.ElementTree as ET

import numpy as np
import pytest
from piper_description import JOINT_LIMITS, JOINT_NAMES, FirmwareZero, link_transforms, tcp_pose
from piper_description.urdf import fixed_frames, joint_frames, piper_urdf

mujoco = pytest.importorskip("mujoco")


@pytest.mark.parametrize("zero", list(FirmwareZero))
def test_links_stand_where_the_kinematics_puts_them(zero):
    model = mujoco.MjModel.from_xml_string(piper_urdf(zero))
    data = mujoco.MjData(model)
    generator = np.random.default_rng(1)
    for _ in range(50):
        q = generator.uniform(JOINT_LIMITS.lower, JOINT_LIMITS.upper)
        for name, value in zip(JOINT_NAMES, q, strict=True):
            data.joint(name).qpos = value
        mujoco.mj_kinematics(model, data)
        links = link_transforms(q[:6], zero)
        for i in range(6):
            body = data.body(f"link{i + 1}")
            assert np.allclose(body.xpos, links[i, :3, 3], atol=1e-6)
            assert np.allclose(body.xmat.reshape(3, 3), links[i, :3, :3], atol=1e-6)


def test_limits_and_names_with_a_prefix():
    robot = ET.fromstring(piper_urdf(prefix="left_"))
    joints = {joint.get("name"): joint for joint in robot.findall("joint")}
    for i, name in enumerate(JOINT_NAMES):
        limit = joints[f"left_{name}"].find("limit")
        assert float(limit.get("lower")) == pytest.approx(JOINT_LIMITS.lower[i])
        assert float(limit.get("upper")) == pytest.approx(JOINT_LIMITS.upper[i])
        assert float(limit.get("velocity")) == pytest.approx(JOINT_LIMITS.velocity[i])
    assert joints["left_finger_right"].find("mimic").attrib == {
        "joint": "left_gripper", "multiplier": "0.5", "offset": "0"
    }  # fmt: skip
    assert all(link.get("name").startswith("left_") for link in robot.findall("link"))
    parents = {joint.find("child").get("link"): joint.find("parent").get("link") for joint in joints.values()}
    assert set(parents) | {"left_base_link"} == {link.get("name") for link in robot.findall("link")}, "one tree"


def test_frames_multiply_to_the_tool():
    q = np.array([0.3, 1.0, -0.8, 0.2, 0.5, -0.4, 0.05])
    poses = {"base_link": np.eye(4)}
    for parent, child, T in [*joint_frames(q), *fixed_frames()]:
        if parent in poses:
            poses[child] = poses[parent] @ T
    assert np.allclose(poses["tcp"], tcp_pose(q[:6]))
    fingers = {child: T for _, child, T in joint_frames(q)}
    assert fingers["finger_left"][1, 3] - fingers["finger_right"][1, 3] == pytest.approx(0.05)
