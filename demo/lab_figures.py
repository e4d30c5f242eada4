"""Figures from the lab's recorded episodes: control rate, lateness, limits, pictures."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from piper_description import JOINT_LIMITS
from rosbags.highlevel import AnyReader
from rosbags.typesys import Stores, get_typestore

SETPOINT_TOPIC = "/piper_driver/setpoint"
FRONT_CAMERA_TOPIC = "/cameras/front/image/compressed"
PERIOD_S = 0.005


@dataclass(frozen=True)
class Setpoints:
    """What the driver sent in one episode."""

    stamp_s: NDArray[np.float64]
    """(n,) time of each tick."""
    position: NDArray[np.float64]
    """(n, 7) rad, gripper m."""
    velocity: NDArray[np.float64]
    """(n, 7) rad/s, gripper m/s."""


@dataclass(frozen=True)
class ControlFigures:
    """How well the loop kept its time and its limits, over all episodes."""

    mean_hz: float
    lateness_ms: NDArray[np.float64]
    """How late each tick came, by the episode's own 5 ms grid (its earliest tick is on time)."""
    setpoints: int
    limit_breaches: int


def _messages(episode: Path, topic: str) -> Iterator[object]:
    with AnyReader([episode], default_typestore=get_typestore(Stores.ROS2_JAZZY)) as reader:
        connections = [connection for connection in reader.connections if connection.topic == topic]
        if not connections:
            raise ValueError(f"{episode} has no topic {topic}; it has {sorted(reader.topics)}")
        for connection, _, raw in reader.messages(connections):
            yield reader.deserialize(raw, connection.msgtype)


def read_setpoints(episode: Path) -> Setpoints:
    """Every setpoint of the recorded episode in folder `episode`."""
    rows = [
        (message.header.stamp.sec + message.header.stamp.nanosec * 1e-9, message.position, message.velocity)  # type: ignore[attr-defined]
        for message in _messages(episode, SETPOINT_TOPIC)
    ]
    stamp, position, velocity = zip(*rows, strict=True)
    return Setpoints(np.array(stamp), np.array(position), np.array(velocity))


def read_jpegs(episode: Path) -> list[bytes]:
    """The front camera's frames of an episode, as they were encoded at the camera."""
    return [bytes(message.data) for message in _messages(episode, FRONT_CAMERA_TOPIC)]  # type: ignore[attr-defined]


def lateness_ms(stamp_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """How late each tick came after its deadline on a 5 ms grid, milliseconds.

    The grid's phase is that of the earliest ticks (their 1st percentile), so a tick can't look early by much; a tick
    that is more than a period late counts against the deadline that it missed first.
    """
    elapsed = stamp_s - stamp_s[0]
    phase = np.percentile(elapsed - np.arange(len(elapsed)) * PERIOD_S, 1)
    late = elapsed - phase - np.arange(len(elapsed)) * PERIOD_S
    skipped = np.concatenate([[0.0], np.cumsum(np.maximum(np.round(np.diff(late) / PERIOD_S), 0.0))])
    base = np.concatenate([[0.0], skipped[:-1]])
    return np.maximum(late - base * PERIOD_S, 0.0) * 1e3


def control_figures(episodes: list[Setpoints]) -> ControlFigures:
    """Rate, lateness and limit breaches over all episodes."""
    late = np.concatenate([lateness_ms(episode.stamp_s) for episode in episodes])
    ticks = sum(len(episode.stamp_s) - 1 for episode in episodes)
    seconds = sum(episode.stamp_s[-1] - episode.stamp_s[0] for episode in episodes)
    return ControlFigures(
        mean_hz=ticks / seconds,
        lateness_ms=late,
        setpoints=sum(len(episode.stamp_s) for episode in episodes),
        limit_breaches=sum(count_breaches(episode) for episode in episodes),
    )


def count_breaches(episode: Setpoints, tolerance: float = 1e-6) -> int:
    """Setpoints that were not finite or broke the arm's position, velocity or acceleration limit."""
    finite = np.isfinite(episode.position).all(axis=-1) & np.isfinite(episode.velocity).all(axis=-1)
    inside = (episode.position >= JOINT_LIMITS.lower - tolerance) & (episode.position <= JOINT_LIMITS.upper + tolerance)
    slow = np.abs(episode.velocity) <= JOINT_LIMITS.velocity + tolerance
    # A tick's change of velocity is judged by the time that passed; a stall does not excuse a larger one.
    change = np.abs(np.diff(episode.velocity, axis=0, prepend=episode.velocity[:1]))
    lost_ticks = np.maximum(np.round(np.diff(episode.stamp_s, prepend=episode.stamp_s[0] - PERIOD_S) / PERIOD_S), 1.0)
    gentle = change <= JOINT_LIMITS.acceleration * PERIOD_S * lost_ticks[:, None] + tolerance
    return int(np.sum(~(finite & inside.all(-1) & slow.all(-1) & gentle.all(-1))))
