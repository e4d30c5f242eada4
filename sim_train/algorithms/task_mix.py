"""Which task each group plays, where one policy learns several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

TASK_WEIGHTS: Final = ("even", "learnable")
_LEAST: Final = 0.1  # of the weight at 50 %: what is mastered, or not yet begun, is still practised
_NEW: Final = 0.3  # share of the newest update in the running success


class TaskMix:
    """Deals groups out to tasks so that at any time each has had its share, as nearly as whole groups allow.

    "even": every task has the same share. "learnable": its share goes with p (1 - p) of its sampled success p, which is
    largest at 50 %, where most groups are mixed.
    """

    def __init__(self, tasks: int, weights: str) -> None:
        """ValueError unless there is a task and `weights` is one of `TASK_WEIGHTS`."""
        if tasks < 1 or weights not in TASK_WEIGHTS:
            raise ValueError(
                f"a mix needs at least one task and weights of {list(TASK_WEIGHTS)}; got {tasks}, {weights!r}"
            )
        self._learnable = weights == "learnable"
        self._owed = [0.0] * tasks
        self._success = [0.5] * tasks

    @property
    def shares(self) -> list[float]:
        """Share of the groups of each task; they sum up to 1."""
        weights = [max(4 * p * (1 - p), _LEAST) if self._learnable else 1.0 for p in self._success]
        return [weight / sum(weights) for weight in weights]

    def deal(self, groups: int) -> list[int]:
        """The tasks of the next groups."""
        dealt = []
        for _ in range(groups):
            self._owed = [owed + share for owed, share in zip(self._owed, self.shares, strict=True)]
            task = max(range(len(self._owed)), key=self._owed.__getitem__)  # the first of several equal ones
            self._owed[task] -= 1.0
            dealt.append(task)
        return dealt

    def observe(self, task: int, success: float) -> None:
        """Take note of the sampled success of an update's groups of one task."""
        self._success[task] += _NEW * (success - self._success[task])

    def state(self) -> list[list[float]]:
        """Everything to go on from here."""
        return [list(self._owed), list(self._success)]

    def restore(self, state: Sequence[Sequence[float]]) -> None:
        """Go on from a `state`."""
        self._owed, self._success = ([float(value) for value in values] for values in state)
