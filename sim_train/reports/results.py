"""Success of runs in figures: by task and stage with intervals, and the gap between validation and held-out starts."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from policy_api.intervals import wilson_interval

from sim_train.reports.runs import NOT_COMPARED, STAGES, TrainingRun, flat

HELD_OUT = "greedy, held-out starts"
VALIDATION = "greedy, validation starts"
SAMPLED_VALIDATION = "sampled, validation starts"
SAMPLED = "sampled, training starts"
TRAINING = "greedy, training starts"


@dataclass(frozen=True)
class Success:
    """One success rate."""

    run: str
    task: str
    stage: str
    measured: str
    """How and where the episodes started."""
    rate: float
    interval: tuple[float, float] | None
    """Of 95 %; None where it was not recorded."""
    episodes: int | None


@dataclass(frozen=True)
class Gap:
    """By how much success on other starts exceeds that on held-out starts; both rates are independent."""

    run: str
    task: str
    stage: str
    measured: str
    """On which other starts."""
    difference: float
    interval: tuple[float, float]
    """Of 95 %."""


@dataclass(frozen=True)
class Kind:
    """Runs that differ in nothing but their seed."""

    name: str
    """A number."""
    label: str
    """Settings in which it differs from other kinds; "all runs" if there is no other."""
    runs: tuple[TrainingRun, ...]


def success_of(run: TrainingRun) -> list[Success]:
    """All that is known of the run's success, best evidence first within a stage.

    A finished stage has the validation in its checkpoint's record; a stage that goes on has its latest metrics.
    """
    found = []
    for stage in STAGES:
        for evaluation in run.evaluations:
            if evaluation.stage == stage:
                found += _successes(run, evaluation.result["task"], stage, HELD_OUT, evaluation.result)
        known = {(success.task, success.measured) for success in found if success.stage == stage}
        found += [one for one in _replayed(run, stage) if (one.task, one.measured) not in known]
        validation = run.records.get(stage, {}).get("validation", {})
        for name, measured in (("greedy", VALIDATION), ("sampled", SAMPLED_VALIDATION)):
            if name in validation:
                found += _successes(run, run.task, stage, measured, validation[name])
    if "rl" not in run.records:
        greedy = [r for r in run.rl if r.get("greedy_success") is not None]
        if greedy:
            found.append(_latest(run, VALIDATION, greedy[-1], "greedy", greedy[-1].get("greedy_episodes")))
            found += _latest_tasks(run, VALIDATION, greedy[-1], greedy[-1].get("greedy_tasks", {}))
    played = [r for r in run.rl if r.get("success") is not None]
    size = run.config.get("rl", {}).get("sampling", {}).get("group_size")
    if played:
        found.append(_latest(run, SAMPLED, played[-1], "", played[-1]["groups"] * size if size else None))
        sampled = played[-1].get("tasks", {})
        each = {name: part | {"episodes": part["groups"] * size if size else None} for name, part in sampled.items()}
        found += _latest_tasks(run, SAMPLED, played[-1], each)
    return found


def gaps(successes: Sequence[Success]) -> list[Gap]:
    """Success on training or validation starts less that on held-out starts, wherever both are known.

    The interval is Newcombe's (Statistics in Medicine 17, 1998, method 10), made of the intervals of both rates.
    """
    found = []
    for other in successes:
        for held_out in successes:
            same = (other.run, other.task, other.stage) == (held_out.run, held_out.task, held_out.stage)
            measured = other.measured in (VALIDATION, TRAINING) and held_out.measured == HELD_OUT
            if same and measured and other.interval and held_out.interval:
                (p, (low_p, high_p)), (q, (low_q, high_q)) = (
                    (one.rate, one.interval) for one in (other, held_out) if one.interval
                )
                interval = (p - q - math.hypot(p - low_p, high_q - q), p - q + math.hypot(high_p - p, q - low_q))
                found.append(Gap(other.run, other.task, other.stage, other.measured, p - q, interval))
    return found


def kinds_of(runs: Sequence[TrainingRun]) -> list[Kind]:
    """The runs by kind, in order of their first run."""
    by_kind: dict[str, list[TrainingRun]] = {}
    for run in runs:
        by_kind.setdefault(run.kind, []).append(run)
    compared = [{k: v for k, v in of_kind[0].config.items() if k not in NOT_COMPARED} for of_kind in by_kind.values()]
    settings = [flat(config) for config in compared]
    names = sorted({name for one in settings for name in one})
    differing = [name for name in names if any(one.get(name) != settings[0].get(name) for one in settings)]
    labels = [", ".join(f"{name}={one.get(name, '-')}" for name in differing) for one in settings]
    return [
        Kind(f"#{number}", label or "all runs", tuple(of_kind))
        for number, (label, of_kind) in enumerate(zip(labels, by_kind.values(), strict=True), 1)
    ]


def median_and_range(values: Sequence[float]) -> tuple[float, float, float] | None:
    """Median, least, greatest; None without a value."""
    return (statistics.median(values), min(values), max(values)) if values else None


def _successes(run: TrainingRun, task: str, stage: str, measured: str, plain: dict[str, Any]) -> list[Success]:
    """Success as a record has it, and that of each of its tasks."""
    each = [_success(run, name, stage, measured, part) for name, part in plain.get("tasks", {}).items()]
    return [_success(run, task, stage, measured, plain), *each]


def _replayed(run: TrainingRun, stage: str) -> list[Success]:
    """Of the checkpoint of a stage, played again."""
    found = []
    for who, measured in ((stage, HELD_OUT), (f"{stage}_train", TRAINING)):
        for task, seeds in run.strategies.get(who, {}).items():
            successes, episodes = sum(name is not None for name in seeds.values()), len(seeds)
            if episodes:
                interval = wilson_interval(successes, episodes)
                found.append(Success(run.name, task, stage, measured, successes / episodes, interval, episodes))
    return found


def _success(run: TrainingRun, task: str, stage: str, measured: str, plain: dict[str, Any]) -> Success:
    low, high = plain["success_ci95"]
    return Success(run.name, task, stage, measured, plain["success"], (low, high), plain["episodes"])


def _latest(run: TrainingRun, measured: str, record: dict[str, Any], which: str, episodes: int | None) -> Success:
    """Success in a line of metrics; `which` is "greedy", or empty for sampled training episodes."""
    prefix = which + "_" if which else ""
    bounds = record.get("greedy_ci95" if which else "success_ci95")
    return Success(
        run=run.name,
        task=run.task,
        stage="rl",
        measured=f"{measured}, update {record['update']}",
        rate=record[prefix + "success"],
        interval=(bounds[0], bounds[1]) if bounds else None,
        episodes=episodes,
    )


def _latest_tasks(
    run: TrainingRun, measured: str, record: Mapping[str, Any], tasks: Mapping[str, dict[str, Any]]
) -> list[Success]:
    """Likewise of each of several tasks."""
    return [_success(run, name, "rl", f"{measured}, update {record['update']}", part) for name, part in tasks.items()]
