"""Dynamic sampling: only groups that disagree teach anything.

A group whose members all succeed or all fail has advantage zero. So groups are drawn until enough of them are mixed, up
to a cap; what is left over is not thrown away but carried into the next update, marked with the version that played it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sim_train.rollouts.trajectories import Trajectories, concatenate


@dataclass(frozen=True)
class SamplingConfig:
    """How many groups an update wants."""

    groups: int = 32
    """Mixed groups an update."""
    group_size: int = 8
    """Trajectories from one starting point."""
    oversample: float = 3.0
    """At most this many times `groups` are played for one update."""
    max_staleness: int = 1
    """Carried groups that are older than this many versions are dropped."""
    dynamic: bool = True
    """False: `groups` groups are played once and all are kept, uniform ones too, which teach nothing (an ablation)."""
    task_weights: str = "even"
    """How groups are dealt out to several tasks: one of `sim_train.algorithms.task_mix.TASK_WEIGHTS`."""


@dataclass(frozen=True, eq=False)
class Sample:
    """What one update is made of."""

    trajectories: Trajectories | None
    """Mixed groups, whole, members of a group side by side; None if there was not one."""
    surplus: Trajectories | None
    """Mixed groups for the next update."""
    groups: int
    """Groups played for this sample."""
    mixed: int
    """Of them, mixed."""
    all_failed: int
    """Of them, without a success."""
    all_succeeded: int
    """Of them, without a failure."""
    carried: int
    """Mixed groups that came from the update before."""
    success: float
    """Share of successes among the trajectories played now."""
    success_length: float
    """Mean chunks of a success."""


def mixed_groups(played: Trajectories, size: int) -> tuple[np.ndarray, np.ndarray]:
    """For trajectories in order of group: (groups, size) successes, and (groups,) whether 0 < successes < size.

    Raises:
        ValueError: the trajectories are not whole groups of `size` in order.
    """
    if len(played) % size:
        raise ValueError(f"{len(played)} trajectories are not whole groups of {size}")
    groups = played.group.reshape(-1, size)
    if (groups != groups[:, :1]).any():
        raise ValueError("members of a group must stand side by side; sort trajectories by group first")
    success = played.success.reshape(-1, size)
    total = success.sum(axis=1)
    return success, (total > 0) & (total < size)


def acceptance(success_rate: float, size: int) -> float:
    """Chance that a group of `size` is mixed when each member succeeds with `success_rate`."""
    return 1.0 - success_rate**size - (1.0 - success_rate) ** size


def first_wave(config: SamplingConfig, carried: Trajectories | None, version: int, expected_acceptance: float) -> int:
    """Groups that `draw` will ask for first, with these arguments; 0 if enough are carried."""
    return _wave(config, _carried_groups(config, carried, version), 0, expected_acceptance)


def _carried_groups(config: SamplingConfig, carried: Trajectories | None, version: int) -> int:
    if carried is None:
        return 0
    return int((version - carried.version <= config.max_staleness).sum()) // config.group_size


def _wave(config: SamplingConfig, have: int, played: int, expected_acceptance: float) -> int:
    """Groups to play next when `have` mixed ones are there and `played` were played."""
    wanted = math.ceil(max(config.groups - have, 0) / max(expected_acceptance, 1.0 / config.oversample))
    return min(wanted, math.ceil(config.groups * config.oversample) - played)


def draw(
    play: Callable[[int], Trajectories],
    config: SamplingConfig,
    carried: Trajectories | None,
    version: int,
    expected_acceptance: float,
) -> Sample:
    """Play groups until enough are mixed or the cap is reached.

    Args:
        play: plays that many new groups, members side by side.
        config: how many.
        carried: mixed groups left over from the update before.
        version: of the present weights.
        expected_acceptance: share of groups likely to be mixed; sets the size of the first wave.
    """
    if not config.dynamic:
        return draw_all(play, config)
    kept: list[Trajectories] = []
    size = config.group_size
    if carried is not None:
        recent = np.flatnonzero(version - carried.version <= config.max_staleness)
        if len(recent):
            kept.append(carried.select(recent))
    have = carried_groups = _carried_groups(config, carried, version)
    played = mixed_count = failed = succeeded = 0
    outcomes: list[Trajectories] = []
    while (wanted := _wave(config, have, played, expected_acceptance)) > 0:
        wave = play(wanted)
        success, mixed = mixed_groups(wave, size)
        played += len(success)
        failed += int((success.sum(axis=1) == 0).sum())
        succeeded += int(success.all(axis=1).sum())
        mixed_count += int(mixed.sum())
        have += int(mixed.sum())
        outcomes.append(wave)
        if mixed.any():
            kept.append(wave.select(np.flatnonzero(np.repeat(mixed, size))))
    pool = concatenate(kept) if kept else None
    success_rate, success_length = _successes(outcomes)
    limit = config.groups * size
    return Sample(
        trajectories=pool.select(np.arange(min(len(pool), limit))) if pool else None,
        surplus=pool.select(np.arange(limit, len(pool))) if pool and len(pool) > limit else None,
        groups=played,
        mixed=mixed_count,
        all_failed=failed,
        all_succeeded=succeeded,
        carried=carried_groups,
        success=success_rate,
        success_length=success_length,
    )


def draw_all(play: Callable[[int], Trajectories], config: SamplingConfig) -> Sample:
    """Play `config.groups` groups once and keep them all: a critic learns from uniform groups, too."""
    played = play(config.groups)
    success, mixed = mixed_groups(played, config.group_size)
    success_rate, success_length = _successes([played])
    return Sample(
        trajectories=played,
        surplus=None,
        groups=len(success),
        mixed=int(mixed.sum()),
        all_failed=int((success.sum(axis=1) == 0).sum()),
        all_succeeded=int(success.all(axis=1).sum()),
        carried=0,
        success=success_rate,
        success_length=success_length,
    )


def _successes(waves: list[Trajectories]) -> tuple[float, float]:
    """Share of successes, and their mean length in chunks; NaN where there is nothing to tell it from."""
    flags = np.concatenate([wave.success for wave in waves]) if waves else np.zeros(0, dtype=bool)
    lengths = np.concatenate([wave.length for wave in waves]) if waves else np.zeros(0, dtype=np.int64)
    return (
        float(flags.mean()) if flags.size else float("nan"),
        float(lengths[flags].mean()) if flags.any() else float("nan"),
    )
