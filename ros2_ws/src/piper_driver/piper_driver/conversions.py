"""ROS messages to domain objects and back. Monotonic nanoseconds and SI on this side, ROS stamps on the other."""

import array
from collections.abc import Mapping, Sequence

import numpy as np
from builtin_interfaces.msg import Duration, Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from geometry_msgs.msg import Quaternion, Transform, TransformStamped, Vector3
from motion_control import Chunk, ChunkRefusedError, Mode, TargetRefusedError, TeleopCommand
from node_runtime.ros_time import NS_PER_S, to_monotonic_ns, to_stamp
from numpy.typing import NDArray
from piper_description import JOINT_NAMES
from piper_description.urdf import Frame
from sensor_msgs.msg import JointState
from std_msgs.msg import String
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

Array = NDArray[np.float64]


def chunk_from_trajectory(message: JointTrajectory, names: Sequence[str] = JOINT_NAMES) -> Chunk:
    """A policy's chunk for the joints `names`; a trajectory for two arms holds those of the other one, too.

    A velocity at the last point says that the motion is meant to go on after it.

    Raises `ChunkRefusedError` for wrong joints, shapes, times and values that are not finite.
    """
    columns = columns_of(message.joint_names, names)
    if columns is None:
        raise ChunkRefusedError(f"joint_names are {list(message.joint_names)}; expected {list(names)}")
    observation_ns = to_monotonic_ns(message.header.stamp)
    times, positions = [], []
    for index, point in enumerate(message.points):
        if len(point.positions) != len(message.joint_names):
            raise ChunkRefusedError(
                f"point {index} has {len(point.positions)} positions; expected {len(message.joint_names)}"
            )
        after = point.time_from_start
        times.append(observation_ns + after.sec * NS_PER_S + after.nanosec)
        positions.append([point.positions[column] for column in columns])
    continues = bool(message.points) and any(message.points[-1].velocities)
    waypoints = np.array(positions).reshape(-1, len(names))
    return Chunk(observation_ns, np.array(times, dtype=np.int64), waypoints, continues)


def columns_of(given: Sequence[str], names: Sequence[str]) -> list[int] | None:
    """Where `names` stand in `given`: alone and in order, or among the joints of two arms; None if they do not."""
    given = list(given)
    if given == list(names):
        return list(range(len(given)))
    two_arms = len(given) == 2 * len(names) == len(set(given))
    if not two_arms or tuple(names) == JOINT_NAMES or not set(names) <= set(given):
        return None
    return [given.index(name) for name in names]


def teleop_from_joint_state(message: JointState, names: Sequence[str] = JOINT_NAMES) -> TeleopCommand:
    """A person's command for the joints `names`; the stamp says when it was read. Raises `TargetRefusedError`."""
    columns = columns_of(message.name, names)
    if columns is None or len(message.position) != len(message.name):
        raise TargetRefusedError(
            f"a teleop command has joints {list(message.name)} and {len(message.position)} positions; "
            f"expected {list(names)} and one position each"
        )
    position = np.array([message.position[column] for column in columns])
    return TeleopCommand(to_monotonic_ns(message.header.stamp), position)


def trajectory_from_chunk(chunk: Chunk, names: Sequence[str] = JOINT_NAMES) -> JointTrajectory:
    """The message that carries `chunk`."""
    message = JointTrajectory(joint_names=list(names))
    message.header.stamp = to_stamp(chunk.observation_ns)
    for time_ns, position in zip(chunk.time_ns, chunk.position, strict=True):
        seconds, nanoseconds = divmod(int(time_ns) - chunk.observation_ns, NS_PER_S)
        message.points.append(
            JointTrajectoryPoint(
                positions=array.array("d", position), time_from_start=Duration(sec=seconds, nanosec=nanoseconds)
            )
        )
    return message


def joint_state(stamp: Time, position: Array, velocity: Array, names: Sequence[str] = JOINT_NAMES) -> JointState:
    """Positions (7,) and velocities (7,), rad and m, of `names`, which are in the order of `JOINT_NAMES`."""
    message = JointState(name=names, position=array.array("d", position), velocity=array.array("d", velocity))
    message.header.stamp = stamp
    return message


def transforms(stamp: Time, frames: Sequence[Frame], prefix: str = "") -> list[TransformStamped]:
    """Frames of `piper_description.urdf` as messages; `prefix` stands in front of their names."""
    messages = []
    for parent, child, T in frames:
        x, y, z, w = quaternion(T[:3, :3])
        message = TransformStamped(
            child_frame_id=prefix + child,
            transform=Transform(
                translation=Vector3(x=float(T[0, 3]), y=float(T[1, 3]), z=float(T[2, 3])),
                rotation=Quaternion(x=x, y=y, z=z, w=w),
            ),
        )
        message.header.stamp = stamp
        message.header.frame_id = prefix + parent
        messages.append(message)
    return messages


def quaternion(R: Array) -> tuple[float, float, float, float]:
    """x, y, z, w of a rotation (3, 3); the largest of the four is found first, so that none is divided by zero."""
    K = np.array(
        [
            [R[0, 0] - R[1, 1] - R[2, 2], 0.0, 0.0, 0.0],
            [R[0, 1] + R[1, 0], R[1, 1] - R[0, 0] - R[2, 2], 0.0, 0.0],
            [R[0, 2] + R[2, 0], R[1, 2] + R[2, 1], R[2, 2] - R[0, 0] - R[1, 1], 0.0],
            [R[2, 1] - R[1, 2], R[0, 2] - R[2, 0], R[1, 0] - R[0, 1], R[0, 0] + R[1, 1] + R[2, 2]],
        ]
    )
    squares = 1.0 + np.diag(K)  # four times the squares of x, y, z, w
    largest = int(squares.argmax())
    row = np.array([K[max(i, largest), min(i, largest)] for i in range(4)])
    row[largest] = squares[largest]
    x, y, z, w = (row / (2.0 * np.sqrt(squares[largest]))).tolist()
    return x, y, z, w


def mode_message(mode: Mode, reason: str) -> String:
    """`MODE: reason`, or `MODE` without one."""
    return String(data=f"{mode.value}: {reason}" if reason else mode.value)


def mode_from_message(message: String) -> tuple[Mode, str]:
    """Mode and reason; ValueError for a mode that does not exist."""
    name, _, reason = message.data.partition(": ")
    return Mode(name), reason


def diagnostics(
    stamp: Time, name: str, level: bytes, summary: str, values: Mapping[str, object], hardware_id: str = "piper"
) -> DiagnosticArray:
    """One status with `values`, floats with three decimals."""
    pairs = [KeyValue(key=k, value=f"{v:.3f}" if isinstance(v, float) else str(v)) for k, v in values.items()]
    status = DiagnosticStatus(level=level, name=name, message=summary, hardware_id=hardware_id, values=pairs)
    message = DiagnosticArray(status=[status])
    message.header.stamp = stamp
    return message


def values_from_diagnostics(message: DiagnosticArray) -> dict[str, str]:
    """Key and value of all statuses in the message."""
    return {pair.key: pair.value for status in message.status for pair in status.values}
