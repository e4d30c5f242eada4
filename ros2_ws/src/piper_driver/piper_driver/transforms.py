"""The arm on `robot_description`, `/tf` and `/tf_static`, so that RViz and MoveIt see an ordinary robot.

`tf2_msgs` is part of every ROS installation; the wheels on PyPI lack it. Without it `robot_state_publisher` can make
the transforms from `robot_description` and `joint_states`.
"""

import importlib
from typing import Any

import numpy as np
from node_runtime.qos import LATCHED, RELIABLE
from node_runtime.ros_time import to_stamp
from numpy.typing import NDArray
from piper_description import FirmwareZero
from piper_description.urdf import fixed_frames, joint_frames, piper_urdf
from rclpy.node import Node
from std_msgs.msg import String

from piper_driver.conversions import transforms

PERIOD_NS = 20_000_000


class RobotModel:
    """Publishes one arm's model and frames."""

    def __init__(self, node: Node, prefix: str) -> None:
        self._prefix = prefix
        self._zero = FirmwareZero.CURRENT
        self._next_ns = 0
        self._description = node.create_publisher(String, "robot_description", LATCHED)
        self._message = _tf_message()
        if self._message is None:
            node.get_logger().info("tf2_msgs is not installed: no /tf; robot_state_publisher can make it")
        else:
            self._moving = node.create_publisher(self._message, "/tf", RELIABLE)
            self._fixed = node.create_publisher(self._message, "/tf_static", LATCHED)

    def begin(self, zero: FirmwareZero, now_ns: int) -> None:
        """Publish the model with the joint zero of the arm's firmware."""
        self._zero = zero
        self._description.publish(String(data=piper_urdf(zero, self._prefix)))
        if self._message is not None:
            fixed = transforms(to_stamp(now_ns), fixed_frames(), self._prefix)
            self._fixed.publish(self._message(transforms=fixed))

    def update(self, position: NDArray[np.float64], stamp_ns: int) -> None:
        """Publish the frames for the measured `position` (7,), rad and m, if it is time for it."""
        if self._message is None or stamp_ns < self._next_ns:
            return
        self._next_ns = stamp_ns + PERIOD_NS
        moving = transforms(to_stamp(stamp_ns), joint_frames(position, self._zero), self._prefix)
        self._moving.publish(self._message(transforms=moving))


def _tf_message() -> Any:  # noqa: ANN401 - a message class that may not be installed
    try:
        return importlib.import_module("tf2_msgs.msg").TFMessage
    except ImportError:
        return None
