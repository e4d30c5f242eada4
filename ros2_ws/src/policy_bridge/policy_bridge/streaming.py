"""The pace of a policy that is asked while its last chunk is still being played.

Control steps are counted: step k is played from `begin + k dt` to `begin + (k + 1) dt`, and its waypoint is due at the
end. An observation carries the number of the next step; on arrival of the answer exactly the steps played meanwhile are
dropped, and the rest is merged into what is scheduled (`motion_control.merging`). When nothing is scheduled any more
steps do not count on: the arm stands where the last waypoint was.
"""

from collections import deque
from dataclasses import dataclass

import numpy as np
from motion_control.errors import ActionRefusedError
from motion_control.limits import MotionLimits
from motion_control.merging import ActionPlan, StepBounds, StepChunk, strategy_named
from numpy.typing import NDArray
from policy_api.schema import ActionChunk, Committed, PolicySpec

from policy_bridge.action_mapping import to_actions, to_waypoints
from policy_bridge.pace import LEAD_NS, Play, Question

Array = NDArray[np.float64]

MAX_LATE = 5
"""So many answers in a row that came too late end a run."""
DELAYS = 10
"""Answers whose delays are remembered; the longest is what the next one is expected to take (arXiv 2506.07339)."""


@dataclass(frozen=True, eq=False)
class _Asked:
    """`before` (7,): what the arm is commanded to reach before step `step`."""

    step: int
    before: Array


class Streaming:
    """Steps on a clock; a policy that is asked every `every_steps` of them. See `Pace`.

    Args:
        spec: the contract.
        limits: of the joints.
        merge: how chunks follow each other where the server does not say, a name of `motion_control.merging`.
        every_steps: steps from one question to the next, 1..horizon; 0: half a chunk.
        prefix_steps: committed steps that the policy can be conditioned on; 0: it is told of none.

    Raises LimitsError for a merge that is unknown, ValueError for `every_steps` out of range.
    """

    def __init__(
        self,
        spec: PolicySpec,
        limits: MotionLimits,
        merge: str = "crossfade",
        every_steps: int = 0,
        prefix_steps: int = 0,
    ) -> None:
        if not 0 <= every_steps <= spec.horizon:
            raise ValueError(f"every_steps is {every_steps}; chunks have {spec.horizon} steps, give 1..{spec.horizon}")
        self._spec = spec
        self._limits = limits
        self._merge = merge
        strategy_named(merge)
        self._every_steps = every_steps or max(1, spec.horizon // 2)
        self._prefix_steps = prefix_steps
        self._bounds = StepBounds.of(limits, spec.dt_s)
        self._plan: ActionPlan | None = None
        self._episode = 0
        self._asked: _Asked | None = None
        self._asked_step: int | None = None
        self._begin_ns = 0
        self._playing: Array | None = None
        self._playing_until_ns = 0
        self._due_since_ns: int | None = None
        self._delays: deque[int] = deque(maxlen=DELAYS)
        self._late_in_a_row = 0
        self.not_before_ns = 0
        self.late = 0

    def begin(self, now_ns: int) -> None:
        """See `Pace`. Steps count from 0 again, from wherever the arm is commanded to stand at the first question."""
        self._plan = None
        self._asked = self._asked_step = self._due_since_ns = self._playing = None
        self._episode += 1
        self.not_before_ns = now_ns

    def due_since(self, now_ns: int) -> int | None:
        """See `Pace`."""
        self._advance(now_ns)
        if self._due_since_ns is None and self._wanted():
            self._due_since_ns = now_ns
        return self._due_since_ns

    def ask(self, now_ns: int, setpoint: Array) -> Question:
        """See `Pace`."""
        self._advance(now_ns)
        if self._plan is None:
            start = np.clip(setpoint, self._limits.lower, self._limits.upper)
            self._plan = ActionPlan(self._bounds, strategy_named(self._merge), start, self._episode)
            self._playing = start
        assert self._playing is not None
        self._asked = _Asked(self._plan.next_step, self._playing)
        self._asked_step, self._due_since_ns = self._asked.step, None
        return Question(self._asked.step, self._committed(self._plan, self._playing))

    def answer(self, chunk: ActionChunk, observation_ns: int, now_ns: int) -> Play | None:
        """See `Pace`."""
        self._advance(now_ns)
        plan, asked = self._plan, self._asked
        if plan is None or asked is None:
            return None
        self._asked = None
        rows = to_waypoints(self._spec, chunk.actions, asked.before, self._limits)
        plan.strategy = strategy_named(chunk.merge or self._merge)
        stood = not plan.remaining
        self._delays.append(plan.next_step - asked.step)
        report = plan.merge(StepChunk(self._episode, observation_ns, asked.step, rows, chunk.frozen_rows))
        if not report.taken:
            self._dropped(report.reason)
            return None
        self._late_in_a_row = 0
        self.not_before_ns = observation_ns + 1  # what comes next must have seen more
        if stood:
            self._begin_ns = max(now_ns + LEAD_NS, self._begin_ns)
        return self._play(plan, observation_ns, now_ns)

    def over(self, now_ns: int) -> bool:
        """See `Pace`."""
        self._advance(now_ns)
        return (self._plan is None or not self._plan.remaining) and now_ns >= self._begin_ns

    def _advance(self, now_ns: int) -> None:
        """Steps whose time has begun are executed; `_begin_ns` is when the next one does."""
        while self._plan is not None and self._plan.remaining and now_ns >= self._begin_ns:
            taken = self._plan.take()
            assert taken is not None
            self._playing = taken[1]
            self._begin_ns += self._spec.dt_ns
            self._playing_until_ns = self._begin_ns

    def _wanted(self) -> bool:
        if self._plan is None or not self._plan.remaining:
            return True
        return self._asked_step is None or self._plan.next_step - self._asked_step >= self._every_steps

    def _committed(self, plan: ActionPlan, before: Array) -> Committed | None:
        rows = plan.commitment(self._prefix_steps).rows if self._prefix_steps else np.empty((0, 7))
        if not len(rows):
            return None
        delay = min(max(self._delays, default=0), len(rows))
        return Committed(to_actions(self._spec, rows, before), delay, plan.next_step)

    def _play(self, plan: ActionPlan, observation_ns: int, now_ns: int) -> Play:
        """Everything scheduled, with the step that is being played: the driver replaces its whole schedule."""
        rows = plan.commitment(plan.remaining).rows
        time_ns = self._begin_ns + self._spec.dt_ns * np.arange(1, len(rows) + 1, dtype=np.int64)
        if self._playing is not None and self._playing_until_ns > now_ns:
            rows = np.vstack([self._playing, rows])
            time_ns = np.concatenate([[self._playing_until_ns], time_ns])
        return Play(observation_ns, time_ns, rows, continues=True)

    def _dropped(self, reason: str) -> None:
        self.late += 1
        self._late_in_a_row += 1
        if self._late_in_a_row >= MAX_LATE:
            raise ActionRefusedError(f"{MAX_LATE} answers in a row could not be used, the last one {reason}")
