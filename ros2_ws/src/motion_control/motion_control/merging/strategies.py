"""Ways to blend a new chunk into what was scheduled, on the steps that both have.

Every strategy gives rows between the old and the new one, number by number, so that what is in range stays in range.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from motion_control.errors import LimitsError

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Overlap:
    """The K >= 1 steps that both the schedule and the new chunk have, from the next step to be executed on."""

    before: Array
    """(A,) the row executed last, or where the arm is commanded to be."""
    old: Array
    """(K, A)."""
    votes: NDArray[np.int64]
    """(K,) chunks that the old rows are made of, 1 or more."""
    new: Array
    """(K, A)."""
    max_step: Array
    """(A,) largest change from one step to the next."""


class Strategy(Protocol):
    """How a chunk follows another one."""

    @property
    def conditioned(self) -> bool:
        """Whether a chunk is worthless once more steps were executed than its `frozen_rows`."""
        ...

    def blend(self, overlap: Overlap) -> Array:
        """Rows (K, A), each number between the old and the new one."""
        ...


def cosine_fade(old: Array, new: Array, steps: int) -> Array:
    """(K, A) from `old` to `new` (K, A), over the first `steps` rows; at most all of them.

    The share of the new row is (1 - cos(pi i / (k + 1))) / 2 for i = 1..k, so no row changes by more than the old
    and the new chunk do plus pi / (2 (k + 1)) times their distance.
    """
    steps = min(steps, len(new))
    share = 0.5 - 0.5 * np.cos(np.pi * np.arange(1, steps + 1) / (steps + 1))
    rows = new.copy()
    rows[:steps] += (1 - share[:, None]) * (old[:steps] - new[:steps])
    low, high = np.minimum(old, new), np.maximum(old, new)
    return np.clip(rows, low, high)  # rounding


@dataclass(frozen=True)
class Replace:
    """The new chunk as it is; faded in over `fade_steps` if its first row is further than one step away."""

    fade_steps: int = 4
    conditioned: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        _at_least("fade_steps", self.fade_steps, 0)

    def blend(self, overlap: Overlap) -> Array:
        """See `Strategy.blend`."""
        if (np.abs(overlap.new[0] - overlap.before) <= overlap.max_step).all():
            return overlap.new.copy()
        return cosine_fade(overlap.old, overlap.new, self.fade_steps)


@dataclass(frozen=True)
class Crossfade:
    """From the old chunk to the new one over `steps` rows, along a cosine."""

    steps: int = 8
    conditioned: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        _at_least("steps", self.steps, 1)

    def blend(self, overlap: Overlap) -> Array:
        """See `Strategy.blend`."""
        return cosine_fade(overlap.old, overlap.new, self.steps)


@dataclass(frozen=True)
class TemporalEnsemble:
    """The mean of all predictions of a step, the i-th oldest weighing exp(-decay i) (ACT, arXiv 2304.13705).

    latest: one bool a number of the row: those take the newest prediction, as a gripper should; empty: none.
    """

    decay: float = 0.01
    latest: tuple[bool, ...] = ()
    conditioned: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        _at_least("decay", self.decay, 0)

    def blend(self, overlap: Overlap) -> Array:
        """See `Strategy.blend`."""
        if self.latest and len(self.latest) != overlap.new.shape[1]:
            raise LimitsError(f"latest names {len(self.latest)} numbers; a row has {overlap.new.shape[1]}")
        votes = overlap.votes.astype(np.float64)
        newest = np.exp(-self.decay * votes)
        before = -np.expm1(-self.decay * votes) / -np.expm1(-self.decay) if self.decay else votes
        share = (newest / (before + newest))[:, None]
        mean = overlap.old + share * (overlap.new - overlap.old)
        low, high = np.minimum(overlap.old, overlap.new), np.maximum(overlap.old, overlap.new)
        mean = np.clip(mean, low, high)  # rounding
        return np.where(self.latest, overlap.new, mean) if self.latest else mean


@dataclass(frozen=True)
class RtcPrefix:
    """The new chunk as it is: it was conditioned on what is being executed (real-time chunking, arXiv 2506.07339)."""

    conditioned: bool = field(default=True, init=False)

    def blend(self, overlap: Overlap) -> Array:
        """See `Strategy.blend`."""
        return overlap.new.copy()


def strategy_named(name: str) -> Strategy:
    """The strategy, with its usual settings, that a policy server asks for by name; LimitsError for another name."""
    known: dict[str, Strategy] = {
        "replace": Replace(),
        "crossfade": Crossfade(),
        "temporal_ensemble": TemporalEnsemble(),
        "rtc_prefix": RtcPrefix(),
    }
    if name not in known:
        raise LimitsError(f"merge strategy {name!r} is unknown; known are {', '.join(known)}")
    return known[name]


def _at_least(name: str, value: float, least: float) -> None:
    if not (np.isfinite(value) and value >= least):
        raise LimitsError(f"{name} is {value}; it must be {least} or more")
