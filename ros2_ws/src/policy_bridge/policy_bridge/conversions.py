"""ROS 2 messages to what the bridge works with, and back."""

import numpy as np
import simplejpeg
from builtin_interfaces.msg import Duration
from node_runtime.ros_time import NS_PER_S, to_monotonic_ns, to_stamp
from piper_description import JOINT_NAMES
from policy_api.schema import EncodedImage
from sensor_msgs.msg import CompressedImage, Image, JointState
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from policy_bridge.observation_sync import JointSample
from policy_bridge.pace import Play


def to_encoded_image(message: CompressedImage) -> EncodedImage:
    """Take the JPEG as it is; the size is the one in its header. ValueError if it is no JPEG."""
    data = bytes(message.data)
    height, width, _, _ = simplejpeg.decode_jpeg_header(data)
    return EncodedImage("jpeg", width, height, data, to_monotonic_ns(message.header.stamp))


def to_depth_image(message: Image) -> EncodedImage:
    """A depth picture in millimetres, its bytes as they are. ValueError if it is none, or has gaps between its rows."""
    expected = message.width * message.height * 2
    if message.encoding != "16UC1" or message.is_bigendian or message.step != 2 * message.width:
        raise ValueError(
            f"expected 16UC1, little-endian, rows of {2 * message.width} bytes; got {message.encoding}, "
            f"{'big' if message.is_bigendian else 'little'}-endian, rows of {message.step} bytes"
        )
    data = bytes(message.data)
    if len(data) != expected:
        raise ValueError(f"{message.width}x{message.height} pixels are {expected} bytes; got {len(data)}")
    return EncodedImage("z16", message.width, message.height, data, to_monotonic_ns(message.header.stamp))


def to_joint_sample(message: JointState) -> JointSample:
    """Positions in the order of JOINT_NAMES. ValueError names a joint that is missing, or says what is not finite."""
    index = {name: i for i, name in enumerate(message.name)}
    if missing := [name for name in JOINT_NAMES if name not in index]:
        raise ValueError(f"joint {missing[0]} is missing; the message has {', '.join(message.name) or 'none'}")
    if len(message.position) != len(message.name):
        raise ValueError(f"{len(message.name)} names but {len(message.position)} positions")
    position = np.array([message.position[index[name]] for name in JOINT_NAMES])
    if not np.isfinite(position).all():
        raise ValueError(f"positions are not all finite: {position}")
    return JointSample(position, to_monotonic_ns(message.header.stamp))


def to_joint_trajectory(play: Play) -> JointTrajectory:
    """Chunk for the driver: the stamp is the observation's time, every point counts from it.

    Where the motion is meant to go on, the last point has the velocity of the way to it.
    """
    message = JointTrajectory(joint_names=list(JOINT_NAMES))
    message.header.stamp = to_stamp(play.observation_ns)
    for due_ns, position in zip(play.time_ns, play.position, strict=True):
        seconds, nanoseconds = divmod(int(due_ns) - play.observation_ns, NS_PER_S)
        message.points.append(
            JointTrajectoryPoint(
                positions=position.tolist(), time_from_start=Duration(sec=seconds, nanosec=nanoseconds)
            )
        )
    if play.continues and len(play.position) > 1:
        last_s = (int(play.time_ns[-1]) - int(play.time_ns[-2])) / NS_PER_S
        message.points[-1].velocities = ((play.position[-1] - play.position[-2]) / last_s).tolist()
    return message


def parse_mode(text: str) -> tuple[str, str]:
    """Split the driver's "MODE" or "MODE: reason"."""
    mode, _, reason = text.partition(":")
    return mode.strip(), reason.strip()
