"""ROS messages to domain objects and back. Monotonic nanoseconds and SI on this side, ROS stamps on the other."""

import array
from collections.abc import Mapping

import numpy as np
from builtin_interfaces.msg import Duration, Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from motion_control import Chunk, ChunkRefusedError, Mode
from node_runtime.ros_time import NS_PER_S, to_monotonic_ns, to_stamp
from numpy.typing import NDArray
from piper_description import JOINT_NAMES
from sensor_msgs.msg import JointState
from std_msgs.msg import String
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

Array = NDArray[np.float64]


def chunk_from_trajectory(message: JointTrajectory) -> Chunk:
    """A policy's chunk. Raises `ChunkRefusedError` for wrong joints, shapes, times, values that are not finite."""
    if tuple(message.joint_names) != JOINT_NAMES:
        raise ChunkRefusedError(f"joint_names are {list(message.joint_names)}; expected {list(JOINT_NAMES)}")
    observation_ns = to_monotonic_ns(message.header.stamp)
    times, positions = [], []
    for index, point in enumerate(message.points):
        if len(point.positions) != len(JOINT_NAMES):
            raise ChunkRefusedError(f"point {index} has {len(point.positions)} positions; expected {len(JOINT_NAMES)}")
        after = point.time_from_start
        times.append(observation_ns + after.sec * NS_PER_S + after.nanosec)
        positions.append(point.positions)
    return Chunk(observation_ns, np.array(times, dtype=np.int64), np.array(positions).reshape(-1, len(JOINT_NAMES)))


def trajectory_from_chunk(chunk: Chunk) -> JointTrajectory:
    """The message that carries `chunk`."""
    message = JointTrajectory(joint_names=list(JOINT_NAMES))
    message.header.stamp = to_stamp(chunk.observation_ns)
    for time_ns, position in zip(chunk.time_ns, chunk.position, strict=True):
        seconds, nanoseconds = divmod(int(time_ns) - chunk.observation_ns, NS_PER_S)
        message.points.append(
            JointTrajectoryPoint(
                positions=array.array("d", position), time_from_start=Duration(sec=seconds, nanosec=nanoseconds)
            )
        )
    return message


def joint_state(stamp: Time, position: Array, velocity: Array) -> JointState:
    """Positions (7,) and velocities (7,), rad and m, in the order of `JOINT_NAMES`."""
    message = JointState(name=JOINT_NAMES, position=array.array("d", position), velocity=array.array("d", velocity))
    message.header.stamp = stamp
    return message


def mode_message(mode: Mode, reason: str) -> String:
    """`MODE: reason`, or `MODE` without one."""
    return String(data=f"{mode.value}: {reason}" if reason else mode.value)


def mode_from_message(message: String) -> tuple[Mode, str]:
    """Mode and reason; ValueError for a mode that does not exist."""
    name, _, reason = message.data.partition(": ")
    return Mode(name), reason


def diagnostics(stamp: Time, name: str, level: bytes, summary: str, values: Mapping[str, object]) -> DiagnosticArray:
    """One status with `values`, floats with three decimals."""
    pairs = [KeyValue(key=k, value=f"{v:.3f}" if isinstance(v, float) else str(v)) for k, v in values.items()]
    status = DiagnosticStatus(level=level, name=name, message=summary, hardware_id="piper", values=pairs)
    message = DiagnosticArray(status=[status])
    message.header.stamp = stamp
    return message


def values_from_diagnostics(message: DiagnosticArray) -> dict[str, str]:
    """Key and value of all statuses in the message."""
    return {pair.key: pair.value for status in message.status for pair in status.values}
