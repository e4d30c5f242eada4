"""Policies that cost nothing, or a known time, so that what is measured is the way to them and back."""

import time
from types import SimpleNamespace

import numpy as np
from numpy.typing import NDArray

from benchmarks.serving.contract import HORIZON, contract

SLOW_S, SLOW_EACH_S = 0.015, 0.0005
"""A batch of the slow policy takes the first, and the second for every item beyond one."""


class TimedPolicy:
    """Holds the state: every step of a chunk is the observed one."""

    def __init__(self, base_s: float = 0.0, each_s: float = 0.0) -> None:
        self.spec = contract()
        self.revision = "b" * 64
        self._base_s, self._each_s = base_s, each_s

    def act(
        self,
        images: dict[str, NDArray[np.uint8]],
        state: NDArray[np.float32],
        instructions: list[str],
        temperature: float = 0.0,
    ) -> SimpleNamespace:
        """See `policy_server.policy.Policy`."""
        if self._base_s:
            time.sleep(self._base_s + self._each_s * (len(state) - 1))
        return SimpleNamespace(actions=np.repeat(state[:, np.newaxis], HORIZON, axis=1))


def slow_policy() -> TimedPolicy:
    """15 ms, and half a millisecond for every further item."""
    return TimedPolicy(SLOW_S, SLOW_EACH_S)
