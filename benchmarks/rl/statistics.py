"""Medians over seeds, areas under curves, and how sure they are."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import numpy as np
from scipy import stats

Interval = tuple[float, float]
_DRAWS = 20_000


def median_success(counts: Sequence[tuple[int, int]]) -> tuple[float, Interval]:
    """Median success rate of several seeds, and its 95 % interval.

    The interval is a two-stage bootstrap: seeds are drawn with replacement, and the rate of each from Jeffreys'
    posterior Beta(k + 1/2, n - k + 1/2), so that both the luck of seeds and that of episodes is in it.

    Args:
        counts: (successes, episodes) of each seed.

    Raises:
        ValueError: no seed, or counts that are none.
    """
    if not counts:
        raise ValueError("a median needs at least one seed")
    successes, episodes = np.array(counts, dtype=np.float64).T
    if (episodes < 1).any() or (successes < 0).any() or (successes > episodes).any():
        raise ValueError(f"0 <= successes <= episodes and at least one episode are needed; got {list(counts)}")
    rng = np.random.default_rng(0)
    drawn = rng.integers(len(counts), size=(_DRAWS, len(counts)))
    rates = rng.beta(successes[drawn] + 0.5, (episodes - successes)[drawn] + 0.5)
    low, high = np.quantile(np.median(rates, axis=1), [0.025, 0.975])
    return statistics.median(k / n for k, n in counts), (float(low), float(high))


def paired_difference(first: Sequence[float], second: Sequence[float]) -> tuple[float, Interval | None]:
    """Mean of first - second over seeds, and Student's 95 % interval; None for a single seed.

    Raises:
        ValueError: no pair, or not as many of one as of the other.
    """
    if not first or len(first) != len(second):
        raise ValueError(f"differences need pairs; got {len(first)} and {len(second)} values")
    differences = np.subtract(first, second)
    mean = float(differences.mean())
    if len(differences) < 2:
        return mean, None
    half = float(stats.t.ppf(0.975, len(differences) - 1) * differences.std(ddof=1) / np.sqrt(len(differences)))
    return mean, (mean - half, mean + half)


def area(points: Sequence[tuple[float, float]], end: float) -> float:
    """Mean height of a curve between 0 and `end`: straight between points, level after the last.

    Args:
        points: (x, y), x rising from 0.
        end: above 0.

    Raises:
        ValueError: no points, or x does not rise from 0.
    """
    x, y = np.array(points, dtype=np.float64).reshape(-1, 2).T
    if not len(x) or x[0] != 0 or (np.diff(x) < 0).any() or end <= 0:
        raise ValueError(f"an area needs points whose x rises from 0, and an end above 0; got {list(points)} to {end}")
    inside = x < end
    x, y = np.append(x[inside], end), np.append(y[inside], np.interp(end, x, y))
    return float(np.sum(np.diff(x) * (y[1:] + y[:-1]) / 2) / end)
