"""What a robot wrote down of one episode: `<id>/<id>.mcap` and `episode.json`, read into plain arrays.

Messages are decoded with the type definitions that come with the reader, never with those in the file, and of the
message types below only; nothing in a recording is executed.
"""

from __future__ import annotations

import json
import struct
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from piper_description import JOINT_NAMES
from policy_api.errors import InvalidSpec
from policy_api.schema import PolicySpec
from rosbags.rosbag2 import Reader, ReaderError
from rosbags.serde import SerdeError
from rosbags.typesys import Stores, get_typestore

JOINTS: Final = "/joint_states"
SETPOINTS: Final = "/piper_driver/setpoint"
CHUNKS: Final = "/piper_driver/chunk"
MODES: Final = "/piper_driver/mode"
_JOINT_STATE = "sensor_msgs/msg/JointState"
_TYPES: Final = {JOINTS: _JOINT_STATE, SETPOINTS: _JOINT_STATE, MODES: "std_msgs/msg/String"} | {
    CHUNKS: "trajectory_msgs/msg/JointTrajectory"
}
_IMAGE_TYPE = "sensor_msgs/msg/CompressedImage"
_STORE = get_typestore(Stores.ROS2_JAZZY)


class UnusableEpisodeError(ValueError):
    """An episode that cannot be learned from; the text says why."""


@dataclass(frozen=True, eq=False)
class Motion:
    """Positions of seven joints over time."""

    stamp_ns: NDArray[np.int64]
    """(N,) ROS time, increasing."""
    position: NDArray[np.float64]
    """(N, 7) rad, and m of gripper opening, in the order of JOINT_NAMES."""

    def at(self, time_ns: NDArray[np.int64]) -> NDArray[np.float64]:
        """Positions (..., 7) at times (...), by straight lines between samples; the ends are held."""
        times = time_ns - self.stamp_ns[0]  # small enough for float64 to tell nanoseconds apart
        known = self.stamp_ns - self.stamp_ns[0]
        return np.stack([np.interp(times, known, column) for column in self.position.T], axis=-1)


@dataclass(frozen=True, eq=False)
class PlayedChunk:
    """A chunk that was sent to the driver."""

    observation_ns: int
    """ROS time of the observation that it answers."""
    due_ns: NDArray[np.int64]
    """(H,) ROS times of its waypoints."""
    waypoints: NDArray[np.float64]
    """(H, 7) rad, and m of gripper opening, in the order of JOINT_NAMES."""


@dataclass(frozen=True, eq=False)
class EpisodeLog:
    """One episode. All times are ROS times in nanoseconds."""

    id: str
    seed: int
    instruction: str
    success: bool
    contract: PolicySpec
    joints: Motion
    """As measured."""
    setpoints: Motion
    """As sent to the arm."""
    chunks: list[PlayedChunk]
    modes: list[tuple[int, str]]
    """When the driver named which mode, "POLICY" for one; of receipt, in order."""
    images: dict[str, list[tuple[int, bytes]]]
    """Camera of the contract -> stamp and JPEG of every frame, in order."""


def read_facts(folder: Path) -> dict[str, Any]:
    """`episode.json` of an episode that was recorded whole.

    Raises:
        UnusableEpisodeError: it is missing, or it says that the recording is not whole.
    """
    try:
        facts = json.loads((folder / "episode.json").read_text(encoding="utf-8"))
        wanted = {"id": str, "seed": int, "instruction": str, "truncated": bool, "counts": dict, "dropped": dict}
        if odd := [name for name, kind in wanted.items() if type(facts[name]) is not kind]:
            raise ValueError(f"{odd[0]} is {facts[odd[0]]!r}")
        facts["success"]
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise UnusableEpisodeError(f"episode.json cannot be read ({type(error).__name__}: {error})") from error
    if facts["truncated"]:
        raise UnusableEpisodeError(f"the recording is truncated: {facts.get('error') or 'no reason given'}")
    if facts["id"] != folder.name or not facts["instruction"].strip():
        raise UnusableEpisodeError(f"episode.json is of {facts['id']!r} with instruction {facts['instruction']!r}")
    if lost := {topic: count for topic, count in facts["dropped"].items() if count}:
        raise UnusableEpisodeError(f"messages were dropped: {', '.join(f'{n} of {t}' for t, n in lost.items())}")
    if facts.get("contract") is None:
        raise UnusableEpisodeError("it has no contract: no policy had a session open")
    return dict(facts)


def contract_of(facts: dict[str, Any]) -> PolicySpec:
    """The contract under which an episode was recorded; UnusableEpisodeError if it is none."""
    try:
        return PolicySpec.from_json(json.dumps(facts["contract"]))
    except InvalidSpec as error:
        raise UnusableEpisodeError(f"its contract cannot be read ({error})") from error


def read_log(folder: Path, facts: dict[str, Any]) -> EpisodeLog:
    """Everything of the episode in `folder` that its contract speaks of; `facts` as `read_facts` gave them.

    Raises:
        UnusableEpisodeError: the file is damaged or incomplete, or its numbers make no sense.
    """
    contract = contract_of(facts)
    cameras = {f"/cameras/{camera.name}/image/compressed": camera.name for camera in contract.cameras}
    types = _TYPES | dict.fromkeys(cameras, _IMAGE_TYPE)
    messages = _messages(folder / f"{folder.name}.mcap", types, facts["counts"])
    images: dict[str, list[tuple[int, bytes]]] = {}
    for topic, camera_name in cameras.items():
        frames = sorted((_stamp_ns(m), bytes(m.data)) for _, m in messages[topic])
        if not frames:
            raise UnusableEpisodeError(f"camera {camera_name!r} of the contract has no frame on {topic}")
        images[camera_name] = frames
    return EpisodeLog(
        id=facts["id"],
        seed=facts["seed"],
        instruction=facts["instruction"],
        success=facts["success"] is True,
        contract=contract,
        joints=_motion([m for _, m in messages[JOINTS]], JOINTS),
        setpoints=_motion([m for _, m in messages[SETPOINTS]], SETPOINTS),
        chunks=[_chunk(m) for _, m in messages[CHUNKS]],
        modes=[(log_ns, m.data.partition(":")[0].strip()) for log_ns, m in messages[MODES]],
        images=images,
    )


def _messages(file: Path, types: dict[str, str], counts: dict[str, int]) -> dict[str, list[tuple[int, Any]]]:
    found: dict[str, list[tuple[int, Any]]] = {topic: [] for topic in types}
    seen: Counter[str] = Counter()
    try:
        with Reader(file) as bag:
            for connection, log_ns, raw in bag.messages():
                seen[connection.topic] += 1
                if connection.topic not in types:
                    continue
                if connection.msgtype != types[connection.topic]:
                    raise UnusableEpisodeError(f"{connection.topic} carries {connection.msgtype}")
                found[connection.topic].append((log_ns, _STORE.deserialize_cdr(raw, types[connection.topic])))
    except UnusableEpisodeError:
        raise
    except (
        OSError,
        ReaderError,
        SerdeError,
        AssertionError,
        LookupError,
        ValueError,
        TypeError,
        struct.error,
    ) as error:
        raise UnusableEpisodeError(f"{file.name} is damaged ({type(error).__name__}: {error})") from error
    if short := [topic for topic, count in counts.items() if count != seen[topic]]:
        topic = short[0]
        raise UnusableEpisodeError(
            f"{file.name} has {seen[topic]} messages of {topic}, episode.json says {counts[topic]}"
        )
    return found


def _motion(messages: list[Any], topic: str) -> Motion:
    if len(messages) < 2:
        raise UnusableEpisodeError(f"{topic} has {len(messages)} messages")
    rows = []
    for message in messages:
        index = {name: i for i, name in enumerate(message.name)}
        if missing := [name for name in JOINT_NAMES if name not in index]:
            raise UnusableEpisodeError(f"{topic} lacks {missing[0]}")
        if len(message.position) != len(message.name):
            raise UnusableEpisodeError(f"{topic} has {len(message.name)} names but {len(message.position)} positions")
        rows.append([message.position[index[name]] for name in JOINT_NAMES])
    stamps = np.array([_stamp_ns(message) for message in messages], dtype=np.int64)
    position = np.array(rows, dtype=np.float64)
    if not np.isfinite(position).all():
        raise UnusableEpisodeError(f"{topic} has positions that are not finite")
    if (np.diff(stamps) <= 0).any():
        raise UnusableEpisodeError(f"the stamps of {topic} do not increase: the robot's clock was set meanwhile")
    return Motion(stamps, position)


def _chunk(message: Any) -> PlayedChunk:  # noqa: ANN401 - decoded messages have no common type
    stamp = _stamp_ns(message)
    if list(message.joint_names) != list(JOINT_NAMES):
        raise UnusableEpisodeError(f"a chunk is of the joints {', '.join(message.joint_names) or 'none'}")
    due = [stamp + p.time_from_start.sec * 1_000_000_000 + p.time_from_start.nanosec for p in message.points]
    waypoints = np.array([p.positions for p in message.points], dtype=np.float64)
    if waypoints.shape != (len(due), len(JOINT_NAMES)) or not np.isfinite(waypoints).all():
        raise UnusableEpisodeError("a chunk has waypoints of another size, or that are not finite")
    return PlayedChunk(stamp, np.array(due, dtype=np.int64), waypoints)


def _stamp_ns(message: Any) -> int:  # noqa: ANN401 - decoded messages have no common type
    return int(message.header.stamp.sec) * 1_000_000_000 + int(message.header.stamp.nanosec)
