"""One episode as the recorder writes it: `episode.json` and an MCAP file of ROS 2 messages -> actions by step.

What was sent to the arm are joint waypoints. Under `joint_position` they are the actions; under `ee_delta_position` the
actions are the displacements of the tool centre point between them, the first of a chunk from the commanded position at
the time of its observation. Messages are decoded with the type
definitions that come with the reader, never with those in the file.
"""

import json
import struct
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from piper_description import JOINT_NAMES, tcp_pose
from policy_api.errors import InvalidSpec
from policy_api.schema import PolicySpec
from rosbags.rosbag2 import Reader, ReaderError
from rosbags.serde import SerdeError
from rosbags.typesys import Stores, get_typestore

from policy_server.backends.errors import BackendError

FACTS: Final = "episode.json"
_DELTAS, _JOINTS = "ee_delta_position", "joint_position"
_SETPOINTS = "/piper_driver/setpoint"
_CHUNKS = "/piper_driver/chunk"
_MODES = "/piper_driver/mode"
_TYPES = {
    _SETPOINTS: "sensor_msgs/msg/JointState",
    _CHUNKS: "trajectory_msgs/msg/JointTrajectory",
    _MODES: "std_msgs/msg/String",
}
_JITTER_NS = 5_000_000
_DAMAGE = (OSError, ReaderError, SerdeError, AssertionError, LookupError, TypeError, ValueError, struct.error)

Array = NDArray[np.float64]
Messages = dict[str, list[tuple[int, Any]]]


def read_episode(folder: Path) -> tuple[PolicySpec, NDArray[np.float32]]:
    """Contract, and the actions (N, A) of the steps that the arm was told to make while the policy had authority.

    Raises:
        BackendError: the recording is not whole or damaged, or not of one arm.
    """
    spec, counts = _facts(folder)
    if spec.action_space not in (_DELTAS, _JOINTS) or spec.action[-1].name != "gripper":
        raise BackendError(f"{folder} is not of one arm under {_DELTAS!r} or {_JOINTS!r}, which can be replayed")
    file = folder / f"{folder.name}.mcap"
    try:
        messages = _messages(file)
        if short := [topic for topic, found in messages.items() if len(found) != counts.get(topic, 0)]:
            raise ValueError(f"it has {len(messages[short[0]])} messages on {short[0]}, {FACTS} says {counts}")
        stamps, setpoints = _setpoints(messages[_SETPOINTS])
        chunks = [_chunk(message) for _, message in messages[_CHUNKS]]
        modes = [(log_ns, message.data.partition(":")[0].strip()) for log_ns, message in messages[_MODES]]
    except _DAMAGE as error:
        raise BackendError(f"{file} is damaged ({type(error).__name__}: {error}); copy the episode again") from error
    parts = []
    for i, (observed_ns, due_ns, waypoints) in enumerate(chunks):
        begin = int(due_ns[0]) - spec.dt_ns
        before = [mode for time_ns, mode in modes if time_ns <= begin + _JITTER_NS]
        if not before or before[-1] != "POLICY":
            continue
        until = [time_ns for time_ns, mode in modes if time_ns > begin and mode != "POLICY"][:1]
        until += [int(later[1][0]) - spec.dt_ns for later in chunks[i + 1 : i + 2]]
        steps = int((due_ns <= min(until, default=int(due_ns[-1])) + _JITTER_NS).sum())
        if steps:
            start = _at(observed_ns, stamps, setpoints)
            followed = waypoints[:steps]
            parts.append(followed if spec.action_space == _JOINTS else _displacements(start, followed))
    if not parts:
        raise BackendError(f"{folder}: no chunk was played while the policy had authority (mode POLICY)")
    return spec, np.concatenate(parts).astype(np.float32)


def _facts(folder: Path) -> tuple[PolicySpec, dict[str, int]]:
    """The contract, and how many messages were written of each topic."""
    try:
        facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        if facts["truncated"]:
            raise BackendError(f"{folder} is truncated ({facts.get('error') or 'no reason given'}); take another")
        return PolicySpec.from_json(json.dumps(facts["contract"])), dict(facts["counts"])
    except BackendError:
        raise
    except (InvalidSpec, KeyError, OSError, TypeError, ValueError) as error:
        raise BackendError(f"{folder / FACTS} cannot be used ({type(error).__name__}: {error})") from error


def _messages(file: Path) -> Messages:
    """Log time and message of the topics above, in order of time."""
    store = get_typestore(Stores.ROS2_JAZZY)
    found: Messages = {topic: [] for topic in _TYPES}
    with Reader(file) as bag:
        for connection, log_ns, raw in bag.messages():
            kind = _TYPES.get(connection.topic)
            if kind is None:
                continue
            if connection.msgtype != kind:
                raise ValueError(f"{connection.topic} carries {connection.msgtype}, expected {kind}")
            found[connection.topic].append((log_ns, store.deserialize_cdr(raw, kind)))
    return found


def _setpoints(messages: list[tuple[int, Any]]) -> tuple[NDArray[np.int64], Array]:
    """Stamps (N,) and commanded positions (N, 7), rad and m."""
    if not messages:
        raise ValueError(f"nothing on {_SETPOINTS}")
    rows = [dict(zip(message.name, message.position, strict=True)) for _, message in messages]
    positions = np.array([[row[name] for name in JOINT_NAMES] for row in rows], dtype=np.float64)
    return np.array([_stamp_ns(message) for _, message in messages], dtype=np.int64), _finite(positions)


def _chunk(message: Any) -> tuple[int, NDArray[np.int64], Array]:  # noqa: ANN401 - decoded messages have no common type
    """Time of the observation, times (H,) and joint waypoints (H, 7)."""
    if list(message.joint_names) != list(JOINT_NAMES) or not message.points:
        raise ValueError(f"a chunk has {len(message.points)} points of {list(message.joint_names)}")
    stamp = _stamp_ns(message)
    due = [stamp + p.time_from_start.sec * 1_000_000_000 + p.time_from_start.nanosec for p in message.points]
    waypoints = np.array([p.positions for p in message.points], dtype=np.float64)
    if waypoints.shape != (len(due), len(JOINT_NAMES)):
        raise ValueError(f"a chunk has waypoints of shape {waypoints.shape}")
    return stamp, np.array(due, dtype=np.int64), _finite(waypoints)


def _finite(numbers: Array) -> Array:
    if not np.isfinite(numbers).all():
        raise ValueError("a position is not a finite number")
    return numbers


def _at(time_ns: int, stamps: NDArray[np.int64], positions: Array) -> Array:
    """Position (7,) at a time, by straight lines between samples."""
    return np.array([np.interp(time_ns - stamps[0], stamps - stamps[0], column) for column in positions.T])


def _displacements(start: Array, waypoints: Array) -> Array:
    """Actions (n, 4) that lead from the joints `start` (7,) through the waypoints (n, 7)."""
    places = tcp_pose(np.vstack([start, waypoints])[:, :6])[:, :3, 3]
    return np.column_stack([np.diff(places, axis=0), waypoints[:, 6]])


def _stamp_ns(message: Any) -> int:  # noqa: ANN401 - decoded messages have no common type
    return int(message.header.stamp.sec) * 1_000_000_000 + int(message.header.stamp.nanosec)
