"""Chunk schedule: waypoints at absolute monotonic times, and the interpolation between them.

`interpolate` (training, tick counts) and `ChunkSchedule` (driver, nanoseconds) share `_between`: a chunk that is merged
at tick 0 with waypoints on whole ticks gives the same targets, bit for bit.
"""

from bisect import bisect_left
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from motion_control.errors import ChunkRefusedError

Array = NDArray[np.float64]

MAX_START_DISTANCE_RAD = 0.5
"""A chunk whose first waypoint is further than this from the setpoint does not belong to this arm's present pose."""

EXTRAPOLATION_NS = 100_000_000
"""How long the arm goes on as before when the next chunk of a policy that streams them is late."""


def start_distance(first: Array, setpoint: Array) -> Array:
    """How far each arm joint's first waypoint (..., 7) is from the setpoint (..., 7): (..., 6), rad."""
    distance: Array = np.abs(np.asarray(first) - setpoint)[..., :6]
    return distance


@dataclass(frozen=True)
class Chunk:
    """Waypoints `position` (H, 7), rad and m, due at `time_ns` (H,), monotonic nanoseconds, increasing.

    `observation_ns` is the monotonic time of the observation that the chunk answers. `continues`: its policy answers
    again before the chunk ends, so that the arm need not come to rest at the last waypoint (see `PolicyMotion`).
    Raises `ChunkRefusedError` for wrong shapes, values that are not finite, times that do not increase.
    """

    observation_ns: int
    time_ns: NDArray[np.int64]
    position: Array
    continues: bool = False

    def __post_init__(self) -> None:
        try:
            position = np.array(self.position, dtype=np.float64)
            times = np.array(self.time_ns)
        except (TypeError, ValueError) as error:
            raise ChunkRefusedError(f"a chunk needs arrays of numbers: {error}") from error
        if position.ndim != 2 or position.shape[1] != 7 or len(position) == 0:
            raise ChunkRefusedError(f"waypoints have shape {position.shape}; expected (H, 7) with H >= 1")
        if times.shape != (len(position),) or not np.issubdtype(times.dtype, np.integer):
            raise ChunkRefusedError(
                f"times have shape {times.shape} and type {times.dtype}; expected ({len(position)},) whole nanoseconds"
            )
        if not np.isfinite(position).all():
            raise ChunkRefusedError("waypoints have values that are not finite; the whole chunk is refused")
        if not (np.diff(times) > 0).all() or times[0] <= self.observation_ns:
            raise ChunkRefusedError("waypoint times must increase and lie after the observation's time")
        position.setflags(write=False)
        times.setflags(write=False)
        object.__setattr__(self, "position", position)
        object.__setattr__(self, "time_ns", times)


def _between(before: Array, after: Array, fraction: Array | float) -> Array:
    """Point on the line at `fraction` in (0, 1]; exactly `after` at 1."""
    if isinstance(fraction, float):
        return after if fraction >= 1.0 else before + (after - before) * fraction
    return np.where(fraction >= 1.0, after, before + (after - before) * fraction)


class ChunkSchedule:
    """What the arm shall do from now on: straight lines in joint space through the waypoints of the newest chunk."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget everything scheduled."""
        self._times: list[int] = []
        self._positions: list[Array] = []
        self._observation_ns: int | None = None
        self._slope: Array | None = None

    @property
    def end_ns(self) -> int | None:
        """Time of the last waypoint, None if nothing is scheduled."""
        return self._times[-1] if self._times else None

    def merge(self, chunk: Chunk, now_ns: int, start: Array) -> int:
        """Replace the future by `chunk`, starting from the current setpoint `start` (7,); returns points dropped.

        Waypoints at or before `now_ns` are dropped. Raises `ChunkRefusedError`, and changes nothing, if all of them
        are in the past or if the chunk answers an observation that is not newer than that of the chunk being played.
        """
        if self._observation_ns is not None and chunk.observation_ns <= self._observation_ns:
            raise ChunkRefusedError("the chunk's observation is not newer than that of the chunk being played")
        dropped = int(np.searchsorted(chunk.time_ns, now_ns, side="right"))
        if dropped == len(chunk.time_ns):
            late_ms = (now_ns - int(chunk.time_ns[-1])) / 1e6
            raise ChunkRefusedError(
                f"all {dropped} waypoints are in the past (the last by {late_ms:.0f} ms): "
                "inference took longer than the chunk, or the clocks differ"
            )
        self._times = [now_ns, *(int(t) for t in chunk.time_ns[dropped:])]
        self._positions = [np.array(start, dtype=np.float64), *chunk.position[dropped:]]
        self._observation_ns = chunk.observation_ns
        self._slope = None
        if chunk.continues:
            change = self._positions[-1] - self._positions[-2]
            self._slope = change / (self._times[-1] - self._times[-2]) if change.any() else None
        return dropped

    @property
    def runs_on(self) -> bool:
        """Whether the last waypoint is passed in motion, by a chunk that is to be continued."""
        return self._slope is not None

    def sample(self, now_ns: int) -> Array | None:
        """Target (7,) at `now_ns`, None if nothing is scheduled.

        Once all waypoints have passed it is the last one, or runs on as before it for at most `EXTRAPOLATION_NS`.
        """
        if not self._times:
            return None
        index = bisect_left(self._times, now_ns)
        if index == 0:
            return self._positions[0]
        if index == len(self._times):
            if self._slope is None:
                return self._positions[-1]
            return self._positions[-1] + self._slope * min(now_ns - self._times[-1], EXTRAPOLATION_NS)
        before_ns, after_ns = self._times[index - 1], self._times[index]
        fraction = (now_ns - before_ns) / (after_ns - before_ns)
        return _between(self._positions[index - 1], self._positions[index], fraction)

    def exhausted(self, now_ns: int) -> bool:
        """Whether no waypoint lies ahead."""
        return not self._times or now_ns >= self._times[-1]


def interpolate(start: Array, waypoints: Array, step_ticks: int, settle_ticks: int) -> Array:
    """Targets (..., T, 7) of whole chunks, T = H * step_ticks + settle_ticks.

    From the setpoints `start` (..., 7) through `waypoints` (..., H, 7), each reached after another `step_ticks` ticks,
    then `settle_ticks` at the last one. The first target belongs to the first tick after the start.
    """
    waypoints = np.asarray(waypoints, dtype=np.float64)
    if step_ticks < 1 or settle_ticks < 0:
        raise ChunkRefusedError(f"step_ticks must be >= 1 and settle_ticks >= 0; got {step_ticks} and {settle_ticks}")
    knots = np.concatenate([np.asarray(start, dtype=np.float64)[..., None, :], waypoints], axis=-2)
    tick = np.arange(1, waypoints.shape[-2] * step_ticks + 1)
    segment = (tick - 1) // step_ticks
    fraction = (tick - segment * step_ticks) / step_ticks
    moving = _between(knots[..., segment, :], knots[..., segment + 1, :], fraction[:, None])
    settling = np.repeat(waypoints[..., -1:, :], settle_ticks, axis=-2)
    return np.concatenate([moving, settling], axis=-2)
