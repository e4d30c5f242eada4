"""Frames as messages; /tf with a stand-in for the message that the wheels lack."""

from types import SimpleNamespace

import numpy as np
import pytest
from piper_description import FirmwareZero
from piper_description.urdf import joint_frames
from piper_driver import transforms as module
from piper_driver.conversions import quaternion, transforms
from piper_driver.transforms import RobotModel


def rotation(x, y, z, w):
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


@pytest.mark.parametrize("seed", range(8))
def test_quaternions_are_the_rotations(seed):
    q = np.random.default_rng(seed).normal(size=4) * [[1, 1, 1, 1], [1, 0.01, 0, 0]][seed % 2]
    R = rotation(*(q / np.linalg.norm(q)))
    assert np.allclose(rotation(*quaternion(R)), R, atol=1e-12)


def test_half_turns():
    for axis in range(3):
        R = -np.eye(3)
        R[axis, axis] = 1.0
        assert np.allclose(rotation(*quaternion(R)), R)


class FakeNode:
    def __init__(self):
        self.topics = {}

    def create_publisher(self, _kind, topic, _qos):
        self.topics[topic] = []
        return SimpleNamespace(publish=self.topics[topic].append)

    def get_logger(self):
        return SimpleNamespace(info=lambda _text: None)


def test_frames_go_out_at_fifty_hertz_where_tf2_msgs_is_installed(monkeypatch):
    monkeypatch.setattr(module, "_tf_message", lambda: SimpleNamespace)
    node = FakeNode()
    model = RobotModel(node, "left_")
    model.begin(FirmwareZero.CURRENT, 10**9)
    q = np.array([0.3, 1.0, -0.8, 0.2, 0.5, -0.4, 0.05])
    for tick in range(40):
        model.update(q, 10**9 + tick * 5_000_000)
    assert len(node.topics["/tf"]) == 10 and "left_piper" in node.topics["robot_description"][0].data
    sent = {t.child_frame_id: t for t in node.topics["/tf"][0].transforms}
    for parent, child, T in joint_frames(q):
        message = sent[f"left_{child}"]
        assert message.header.frame_id == f"left_{parent}"
        turned = message.transform.rotation
        assert np.allclose(rotation(turned.x, turned.y, turned.z, turned.w), T[:3, :3], atol=1e-9)
    assert [t.child_frame_id for t in node.topics["/tf_static"][0].transforms] == ["left_gripper_base", "left_tcp"]


def test_without_tf2_msgs_the_model_is_told_all_the_same():
    node = FakeNode()
    model = RobotModel(node, "")
    model.begin(FirmwareZero.LEGACY, 10**9)
    model.update(np.zeros(7), 10**9)
    assert len(node.topics["robot_description"]) == 1


def test_stamps_and_positions():
    from node_runtime.ros_time import to_stamp

    stamp = to_stamp(10**9)
    (message,) = transforms(stamp, [("a", "b", np.array([[1, 0, 0, 1], [0, 1, 0, 2], [0, 0, 1, 3], [0, 0, 0, 1]]))])
    assert message.header.stamp == stamp and message.transform.translation.z == 3.0
    assert message.transform.rotation.w == 1.0
