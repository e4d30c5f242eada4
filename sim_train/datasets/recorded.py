"""A recorded episode as a demonstration: what the policy saw, and what the arm was really told to do.

Every chunk that the driver played is one row. Images take the path that they take on their way to a policy
(`policy_api.images`). Actions are displacements of the commanded TCP, each from where the actions before it lead. The
command is the chunk's waypoints, as far as they fell due, if the driver's setpoints went for them: setpoints follow
through the limiter, up to a centimetre behind, as they will when a policy plays the same actions. If they did not (the
driver refused the chunk), the setpoints at the contract's step times are all that the arm was told.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from piper_description import JOINT_NAMES, R_BASE_TOOL_HOME, tcp_pose
from policy_api.errors import InvalidImage
from policy_api.images import decode_jpeg, to_network_input
from policy_api.schema import CameraSpec, PolicySpec

from sim_train.datasets.episode_log import EpisodeLog, PlayedChunk, UnusableEpisodeError

ACTION_SPACE: Final = "ee_delta_position"
MAX_SKEW_NS: Final = 100_000_000
"""Most by which a sample may be off the time of its observation, as on the robot."""
MAX_GAP_NS: Final = 50_000_000
"""Longest silence of the driver within a chunk; it speaks at 200 Hz."""
MAX_TILT_RAD: Final = 0.1
"""Most by which the commanded tool may lean off the orientation that the action space fixes."""
MIN_FOLLOWED: Final = 0.1
"""Share of the way to the last waypoint that fell due which the setpoints go at least, unless the chunk was refused."""
_JITTER_NS: Final = 5_000_000  # clocks are compared once a message


@dataclass(frozen=True, eq=False)
class RecordedEpisode:
    """One episode of C chunks, ready to be learned from."""

    images: dict[str, NDArray[np.uint8]]
    """Camera -> (C, S, S, 3)."""
    state: NDArray[np.float32]
    """(C, 7) measured, rad and m."""
    actions: NDArray[np.float32]
    """(C, H, 4) within the contract's bounds."""
    executed_steps: NDArray[np.int64]
    """(C,) 1..H."""
    cut: int
    """Numbers of executed steps that lay outside the bounds by more than rounding, and were cut."""


def spec_problem(spec: PolicySpec) -> str | None:
    """Why nothing that this robot records can be a demonstration under the contract; None if it can."""
    if spec.action_space != ACTION_SPACE or len(spec.action) != 4:
        return f"actions are made for one arm and {ACTION_SPACE!r}; the contract has {spec.action_space!r}"
    if [field.name for field in spec.state] != list(JOINT_NAMES):
        return "the contract's state is not the joints of one arm, and nothing else is recorded"
    if not spec.cameras:
        return "the contract has no camera"
    return None


def to_demonstration(log: EpisodeLog, spec: PolicySpec) -> RecordedEpisode:
    """The episode under a contract that differs from its own in nothing that matters here.

    Raises:
        UnusableEpisodeError: no chunk was played, samples are missing, a frame is damaged, or the tool was not held as
            the action space has it.
    """
    rows = []
    for i, chunk in enumerate(log.chunks):
        if chunk.due_ns.shape != (spec.horizon,):
            raise UnusableEpisodeError(f"chunk {i} has {len(chunk.due_ns)} waypoints, the contract says {spec.horizon}")
        until = _end_of(log, i, spec)
        if until is None:
            continue
        steps = int(np.searchsorted(chunk.due_ns, until + _JITTER_NS, side="right"))
        if steps:
            rows.append((chunk, steps, until))
    if not rows:
        raise UnusableEpisodeError("no chunk was played while the policy had authority (mode POLICY)")
    actions, cuts = zip(*(_actions(log, *row, spec) for row in rows), strict=True)
    return RecordedEpisode(
        images={camera.name: np.stack([_image(log, camera, c) for c, _, _ in rows]) for camera in spec.cameras},
        state=np.stack([_state(log, chunk) for chunk, _, _ in rows]),
        actions=np.stack(actions),
        executed_steps=np.array([steps for _, steps, _ in rows], dtype=np.int64),
        cut=sum(cuts),
    )


def _end_of(log: EpisodeLog, index: int, spec: PolicySpec) -> int | None:
    """Until when the arm followed chunk `index`; None if the policy had no authority when it began."""
    chunk = log.chunks[index]
    begin = int(chunk.due_ns[0]) - spec.dt_ns
    end = int(chunk.due_ns[-1]) + round(spec.settle_s * 1e9)
    if index + 1 < len(log.chunks):
        end = min(end, int(log.chunks[index + 1].due_ns[0]) - spec.dt_ns)
    end = min(end, int(log.setpoints.stamp_ns[-1]))
    before = [mode for time, mode in log.modes if time <= begin + _JITTER_NS]
    if not before or before[-1] != "POLICY":
        return None
    return min([end, *(time for time, mode in log.modes if time > begin and mode != "POLICY")])


def _actions(
    log: EpisodeLog, chunk: PlayedChunk, steps: int, until: int, spec: PolicySpec
) -> tuple[NDArray[np.float32], int]:
    """(H, 4) actions that lead where the arm was told to go, and how many of their numbers had to be cut."""
    times = np.concatenate([[chunk.observation_ns], chunk.due_ns[:steps]])
    stamps = log.setpoints.stamp_ns
    inside = stamps[(stamps >= times[0]) & (stamps <= times[-1])]
    gap = int(np.diff(np.concatenate([times[:1], inside, times[-1:]])).max())
    if gap > MAX_GAP_NS:
        raise UnusableEpisodeError(
            f"the driver's setpoints are missing for {gap / 1e6:.0f} ms while a chunk was played"
        )
    commanded = log.setpoints.at(times)
    if _followed(commanded[0], log.setpoints.at(np.array(until)), chunk.waypoints[steps - 1]):
        commanded[1:] = chunk.waypoints[:steps]
    pose = tcp_pose(commanded[:, :6])
    lean = np.arccos(np.clip((np.einsum("nij,ij->n", pose[1:, :3, :3], R_BASE_TOOL_HOME) - 1) / 2, -1, 1))
    if lean.max() > MAX_TILT_RAD:
        raise UnusableEpisodeError(
            f"the tool was tilted by {np.degrees(lean.max()):.0f} degrees; {ACTION_SPACE} keeps the orientation of home"
        )
    lower, upper = (np.array([getattr(f, end) for f in spec.action]) for end in ("lower", "upper"))
    slack = 1e-3 * (upper - lower)
    actions = np.zeros((spec.horizon, 4))
    cut = 0
    reached = pose[0, :3, 3]
    for step in range(steps):
        wanted = np.append(pose[step + 1, :3, 3] - reached, commanded[step + 1, 6])
        actions[step] = np.clip(wanted, lower, upper)
        cut += int(((wanted < lower - slack) | (wanted > upper + slack)).sum())
        reached = reached + actions[step, :3]
    actions[steps:] = np.clip(0.0, lower, upper)  # was never executed, and has no weight
    actions[steps:, 3] = actions[steps - 1, 3]
    return actions.astype(np.float32), cut


def _followed(start: NDArray[np.float64], end: NDArray[np.float64], waypoint: NDArray[np.float64]) -> bool:
    """Whether setpoints (7,) went from `start` to `end` because of the waypoint; ten centimetres count as a radian."""
    scale = np.array([1.0] * 6 + [10.0])
    way, left = (float(np.linalg.norm((waypoint - q) * scale)) for q in (start, end))
    return left <= (1 - MIN_FOLLOWED) * way + 1e-3


def _state(log: EpisodeLog, chunk: PlayedChunk) -> NDArray[np.float32]:
    off = int(np.abs(log.joints.stamp_ns - chunk.observation_ns).min())
    if off > MAX_SKEW_NS:
        raise UnusableEpisodeError(f"no joint state within {MAX_SKEW_NS / 1e6:.0f} ms of an observation")
    return log.joints.at(np.array(chunk.observation_ns)).astype(np.float32)


def _image(log: EpisodeLog, camera: CameraSpec, chunk: PlayedChunk) -> NDArray[np.uint8]:
    """The first frame at the time of the observation or behind it: the arm stands still then."""
    off, data = min(
        ((stamp - chunk.observation_ns, data) for stamp, data in log.images[camera.name]),
        key=lambda frame: (frame[0] < -_JITTER_NS, abs(frame[0])),
    )
    if not -_JITTER_NS <= off <= MAX_SKEW_NS:
        raise UnusableEpisodeError(
            f"camera {camera.name!r} has no frame in the {MAX_SKEW_NS / 1e6:.0f} ms behind an observation"
        )
    try:
        return to_network_input(decode_jpeg(data), camera)
    except InvalidImage as error:
        raise UnusableEpisodeError(f"a frame of camera {camera.name!r} cannot be used: {error}") from error
