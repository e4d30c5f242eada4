"""`rl.json`: what the finished cells say together. What is not measured yet is null."""

from __future__ import annotations

import importlib.metadata
import statistics
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any, Final

from benchmarks.results import versions
from benchmarks.rl.cells import Cell, Store, Stored
from benchmarks.rl.plan import SCALING, arm_name, generalisation_name, plan, sb3_name, task_name
from benchmarks.rl.recipes import Recipes
from benchmarks.rl.statistics import area, median_success, paired_difference
from benchmarks.writing import machine

REPRODUCED: Final = "reproduced"
DIRECTION: Final = "same direction, but within the noise"
NOT_REPRODUCED: Final = "not reproduced"


def summary(recipes: Recipes, store: Store) -> dict[str, Any]:
    """All figures, from the result files that fit the recipes."""
    cells = plan(recipes)
    found = {cell.name: stored for cell in cells if (stored := store.find(cell))}
    tasks = {task: figures for task in recipes.tasks if (figures := _task(recipes, task, found))}
    trained = [stored.result for name, stored in found.items() if name.startswith("task.")]
    busy = [result["cores_busy"] for result in trained if result["cores_busy"] is not None]
    gaps = [result["logprob_gap"] for result in trained if result["logprob_gap"] is not None]
    sb3 = _sb3(recipes, found)
    return {
        "machine": machine(),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "versions": {**versions(), "stable-baselines3": importlib.metadata.version("stable-baselines3")},
        "tasks": tasks or None,
        "ablations": _ablations(recipes, found) or None,
        "generalisation": _generalisation(recipes, found) or None,
        "sb3_time_ratio": sb3["ratio"] if sb3 else None,
        "sb3": sb3,
        "cores_busy": statistics.median(busy) if busy else None,
        "logprob_gap": max(gaps, default=None),
        "two_worker_scaling": found[SCALING].result["scaling"] if SCALING in found else None,
        "missing": [cell.name for cell in cells if cell.name not in found],
        "other_machines": _others(found.values()),  # type: ignore[arg-type]
    }


def best_task_cell(recipes: Recipes, store: Store) -> Cell | None:
    """The cell of the run with the highest held-out success after RL, the largest gain among equals."""
    cells = [cell for cell in plan(recipes) if cell.name.startswith("task.")]
    found = [(cell, stored.result) for cell in cells if (stored := store.find(cell))]
    if not found:
        return None
    return max(found, key=lambda pair: (pair[1]["rl"]["success"], -pair[1]["sft"]["success"]))[0]


def _seeds(recipes: Recipes, found: dict[str, Stored], name: Any) -> list[tuple[int, dict[str, Any]]]:  # noqa: ANN401 - a function of the seed
    return [(seed, dict(found[name(seed)].result)) for seed in recipes.seeds if name(seed) in found]


def _task(recipes: Recipes, task: str, found: dict[str, Stored]) -> dict[str, Any] | None:
    each = _seeds(recipes, found, lambda seed: task_name(task, seed))
    if not each:
        return None
    medians = {
        stage: median_success([(result[stage]["successes"], result[stage]["episodes"]) for _, result in each])
        for stage in ("sft", "rl")
    }
    return {
        "sft": medians["sft"][0],
        "rl": medians["rl"][0],
        "ci95": list(medians["rl"][1]),
        "sft_ci95": list(medians["sft"][1]),
        "seeds": [
            {
                "seed": seed,
                "sft": result["sft"]["success"],
                "rl": result["rl"]["success"],
                "rl_episodes": result["rl_episodes"],
                "wall_s": result["wall_s"],
            }
            for seed, result in each
        ],
        "wall_s": statistics.median(result["wall_s"] for _, result in each),
        "demonstrations": each[0][1]["demonstrations"],
        "budget_min": recipes.tasks[task].budget_min,
    }


def _ablations(recipes: Recipes, found: dict[str, Stored]) -> dict[str, Any]:
    ablations = recipes.ablations
    if not ablations:
        return {}
    end_s = ablations.recipe.budget_min * 60
    result = {}
    for name, (first, second) in ablations.compare.items():
        pairs = [
            (found[arm_name(first, seed)].result, found[arm_name(second, seed)].result)
            for seed in recipes.seeds
            if arm_name(first, seed) in found and arm_name(second, seed) in found
        ]
        if not pairs:
            continue
        final = [tuple(arm["rl"]["success"] for arm in pair) for pair in pairs]
        areas = [
            tuple(area([(p["seconds"], p["greedy"]) for p in arm["curve"]], end_s) for arm in pair) for pair in pairs
        ]
        difference, interval = paired_difference(*zip(*final, strict=True))
        area_difference, area_interval = paired_difference(*zip(*areas, strict=True))
        result[name] = {
            "with": statistics.median(pair[0] for pair in final),
            "without": statistics.median(pair[1] for pair in final),
            "ci95": list(interval) if interval else None,
            "difference": difference,
            "arms": [first, second],
            "pairs": len(pairs),
            "area_with": statistics.median(pair[0] for pair in areas),
            "area_without": statistics.median(pair[1] for pair in areas),
            "area_difference": area_difference,
            "area_ci95": list(area_interval) if area_interval else None,
            "verdict": verdict(difference, interval, area_difference, area_interval),
        }
    return result


def verdict(
    final: float,
    final_interval: tuple[float, float] | None,
    whole: float,
    whole_interval: tuple[float, float] | None,
) -> str:
    """Whether a technique helps as the paper says, from the mean differences and their intervals.

    Reproduced: the area under the curve or the last success is higher beyond doubt, and neither is lower beyond doubt.
    """
    intervals = [interval for interval in (final_interval, whole_interval) if interval]
    worse = any(high < 0 for _, high in intervals)
    if any(low > 0 for low, _ in intervals) and not worse:
        return REPRODUCED
    if whole > 0 and final >= 0 and not worse:
        return DIRECTION
    return NOT_REPRODUCED


def _generalisation(recipes: Recipes, found: dict[str, Stored]) -> dict[str, Any]:
    studies = {
        study: {way: points for way in ("sft", "rl") if (points := _points(recipes, found, study, way))}
        for study in recipes.generalisation
    }
    return {study: ways for study, ways in studies.items() if ways}


def _points(recipes: Recipes, found: dict[str, Stored], study: str, way: str) -> list[dict[str, Any]]:
    """Medians over seeds at each point of learning."""
    each = _seeds(recipes, found, lambda seed: generalisation_name(study, way, seed))
    return [
        {
            "at": statistics.median(point["at"] for point in points),
            "seen": statistics.median(point["seen"] for point in points),
            "held_out": statistics.median(point["held_out"] for point in points),
            "held_out_of_seeds": [point["held_out"] for point in points],
        }
        for points in zip(*(result["points"] for _, result in each), strict=True)
    ]


def _sb3(recipes: Recipes, found: dict[str, Stored]) -> dict[str, Any] | None:
    """Our time over that of stable-baselines3; where that did not get there, its limit stands for its time."""
    each = [result for _, result in _seeds(recipes, found, sb3_name)]
    if not each:
        return None
    rows = [
        {
            "ours_s": result["ours_s"],
            "sb3_s": result["reached_s"],
            "limit_s": result["limit_s"],
            "last_success": result["curve"][-1]["greedy"],
            "ratio": result["ours_s"] / (result["reached_s"] or result["limit_s"]),
        }
        for result in each
    ]
    return {
        "ratio": statistics.median(row["ratio"] for row in rows),
        "reached": sum(row["sb3_s"] is not None for row in rows),
        "of": len(rows),
        "seeds": rows,
    }


def _others(stored: Sequence[Stored]) -> list[dict[str, Any]]:
    """Machines other than this one that cells were measured on."""
    here, others = machine(), []
    for one in stored:
        if dict(one.machine) != here and dict(one.machine) not in others:
            others.append(dict(one.machine))
    return others
