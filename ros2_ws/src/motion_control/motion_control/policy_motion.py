"""What the arm does while the policy has authority: its chunks, and what follows when none comes.

The ladder of starvation: waypoints; if the chunk was to be continued and ends in motion, on along its last segment for
at most 100 ms; a stop with the least jerk; HOLD. A chunk that ends at rest, or that its policy plays to the end before
it looks again, leaves the arm at its last waypoint; HOLD comes when nothing followed for `Timeouts.stale_ns`. A chunk
that comes in time takes over from any rung, as long as the mode is still POLICY.
"""

import numpy as np
from numpy.typing import NDArray
from piper_description import JOINT_NAMES

from motion_control.counters import Counters
from motion_control.errors import ChunkRefusedError
from motion_control.limits import MotionLimits
from motion_control.output import MotionOutput
from motion_control.schedule import EXTRAPOLATION_NS, MAX_START_DISTANCE_RAD, Chunk, ChunkSchedule, start_distance
from motion_control.smooth_stop import SmoothStop
from motion_control.watchdog import Watchdog

Array = NDArray[np.float64]

MAX_OUTSIDE_RAD = 0.1
"""Waypoints, and a measured pose at enable, further outside the limits than this are taken for another unit or zero."""
CLOCK_TOLERANCE_NS = 20_000_000
MAX_CHUNK_NS = 30_000_000_000
"""A longer chunk would keep the arm moving long after its policy has died."""


class PolicyMotion:
    """Chunks in, motion out; of one arm, without a clock."""

    def __init__(self, limits: MotionLimits, counters: Counters, first_chunk_ns: int, stale_ns: int) -> None:
        self._limits = limits
        self._counters = counters
        self._schedule = ChunkSchedule()
        self._first_chunk = Watchdog(first_chunk_ns)
        self._stale = Watchdog(stale_ns)
        self._stop: SmoothStop | None = None

    def begin(self, now_ns: int) -> None:
        """The policy has authority from now on."""
        self.clear()
        self._first_chunk.feed(now_ns)

    def clear(self) -> None:
        """Forget every chunk."""
        self._schedule.clear()
        self._first_chunk.stop()
        self._stale.stop()
        self._stop = None

    def accept(self, chunk: Chunk, now_ns: int, position: Array) -> None:
        """Play `chunk` from the setpoint `position` (7,).

        Raises ChunkRefusedError, and changes nothing, if it cannot be played.
        """
        check_chunk(chunk, now_ns, position, self._limits)
        dropped = self._schedule.merge(chunk, now_ns, position)
        self._first_chunk.stop()
        self._stale.feed(int(chunk.time_ns[-1]))
        self._stop = None
        self._counters.points_dropped += dropped
        self._counters.points_clamped += int((self._limits.outside(chunk.position[dropped:]) > 0.0).sum())

    def move(self, now_ns: int, output: MotionOutput) -> str | None:
        """One tick; returns why the policy's authority ends, None while it goes on."""
        target = self._schedule.sample(now_ns)
        silent = self._silent(now_ns)
        if silent is not None or target is None:
            output.brake()
            return silent
        if not self._starves(now_ns):
            output.toward(target)
            return None
        if self._stop is None:
            self._counters.starved += 1
            self._stop = SmoothStop(output.velocity.tolist(), self._limits, now_ns)
        output.at_velocity(self._stop.velocity(now_ns))
        if output.at_rest:
            return f"no chunk continued the last one for {self._stale.age_ns(now_ns) / 1e6:.0f} ms"
        return None

    def _silent(self, now_ns: int) -> str | None:
        if self._first_chunk.expired(now_ns):
            return f"the policy sent no chunk for {self._first_chunk.age_ns(now_ns) / 1e9:.1f} s"
        if self._stale.expired(now_ns):
            self._counters.stale_holds += 1
            return f"no new chunk for {self._stale.age_ns(now_ns) / 1e9:.2f} s after the last waypoint"
        return None

    def _starves(self, now_ns: int) -> bool:
        end_ns = self._schedule.end_ns
        return self._schedule.runs_on and end_ns is not None and now_ns > end_ns + EXTRAPOLATION_NS


def check_chunk(chunk: Chunk, now_ns: int, position: Array, limits: MotionLimits) -> None:
    """Raise ChunkRefusedError for a chunk that cannot belong to this arm, this time or this pose `position` (7,)."""
    if chunk.observation_ns > now_ns + CLOCK_TOLERANCE_NS:
        ahead_ms = (chunk.observation_ns - now_ns) / 1e6
        raise ChunkRefusedError(f"the chunk's observation lies {ahead_ms:.0f} ms in the future: the clocks differ")
    if int(chunk.time_ns[-1]) > now_ns + MAX_CHUNK_NS:
        raise ChunkRefusedError(f"the chunk ends more than {MAX_CHUNK_NS / 1e9:.0f} s from now; send shorter chunks")
    outside = limits.outside(chunk.position)
    if (outside > MAX_OUTSIDE_RAD).any():
        joint = int(outside.max(axis=0).argmax())
        raise ChunkRefusedError(
            f"{JOINT_NAMES[joint]} is asked to go {outside.max():.2f} outside its limits; expected rad and metres"
        )
    ahead = chunk.position[chunk.time_ns > now_ns]
    if len(ahead) == 0:
        return  # the schedule refuses it as stale
    distance = start_distance(ahead[0], position)
    if (distance > MAX_START_DISTANCE_RAD).any():
        raise ChunkRefusedError(
            f"{JOINT_NAMES[int(distance.argmax())]} starts {distance.max():.2f} rad from its setpoint; "
            f"at most {MAX_START_DISTANCE_RAD} rad is allowed: the chunk answers another pose"
        )
