"""When a run looks, and how the answers become motion: one chunk after the other, or one into the other."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from motion_control.limits import MotionLimits
from numpy.typing import NDArray
from policy_api.schema import ActionChunk, Committed, PolicySpec

from policy_bridge.action_mapping import to_waypoints

LEAD_NS = 20_000_000
"""From publishing a chunk to the beginning of its first step: the way to the driver."""


@dataclass(frozen=True, eq=False)
class Play:
    """Waypoints (H, 7), rad and m, due at `time_ns` (H,), in answer to the observation of `observation_ns`.

    `continues`: the motion is meant to go on after the last waypoint; otherwise it ends there.
    """

    observation_ns: int
    time_ns: NDArray[np.int64]
    position: NDArray[np.float64]
    continues: bool = False


@dataclass(frozen=True, eq=False)
class Question:
    """What goes with an observation: its step, and what is played meanwhile if the policy wants to know."""

    step: int
    committed: Committed | None = None


class Pace(Protocol):
    """Knows no clock; all times are monotonic nanoseconds. An answer follows each question, or none does."""

    @property
    def not_before_ns(self) -> int:
        """Samples taken before this show a robot that was still on its way; they are not to be used."""
        ...

    def begin(self, now_ns: int) -> None:
        """The arm stands and is the policy's, at the start or after an outage."""
        ...

    def due_since(self, now_ns: int) -> int | None:
        """Since when the policy should be asked; None while it should not."""
        ...

    def ask(self, now_ns: int, setpoint: NDArray[np.float64]) -> Question:
        """The policy is asked now, the arm's setpoint being (7,)."""
        ...

    def answer(self, chunk: ActionChunk, observation_ns: int, now_ns: int) -> Play | None:
        """What to play from now on; None if the answer came too late.

        Raises ActionRefusedError if it makes no sense.
        """
        ...

    def over(self, now_ns: int) -> bool:
        """Whether everything that was answered has been played."""
        ...

    @property
    def late(self) -> int:
        """Answers that came too late and were dropped."""
        ...


class Synchronous:
    """Look, ask, play the chunk, let the arm settle, look again: what a contract with a settling time wants."""

    def __init__(self, spec: PolicySpec, limits: MotionLimits) -> None:
        self._spec = spec
        self._limits = limits
        self._step = 0
        self._setpoint: NDArray[np.float64] | None = None
        self.not_before_ns = 0
        self.late = 0

    def begin(self, now_ns: int) -> None:
        """See `Pace`."""
        self.not_before_ns = now_ns

    def due_since(self, now_ns: int) -> int | None:
        """See `Pace`."""
        return self.not_before_ns if now_ns >= self.not_before_ns else None

    def ask(self, now_ns: int, setpoint: NDArray[np.float64]) -> Question:
        """See `Pace`."""
        self._setpoint = setpoint
        return Question(self._step)

    def answer(self, chunk: ActionChunk, observation_ns: int, now_ns: int) -> Play | None:
        """See `Pace`."""
        assert self._setpoint is not None
        position = to_waypoints(self._spec, chunk.actions, self._setpoint, self._limits)
        time_ns = now_ns + LEAD_NS + self._spec.dt_ns * np.arange(1, len(position) + 1, dtype=np.int64)
        self._step += self._spec.horizon
        self.not_before_ns = int(time_ns[-1]) + round(self._spec.settle_s * 1e9)
        return Play(observation_ns, time_ns, position)

    def over(self, now_ns: int) -> bool:
        """See `Pace`."""
        return now_ns >= self.not_before_ns
