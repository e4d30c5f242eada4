"""All cells that the recipes ask for, in the order in which they are worth having."""

from __future__ import annotations

from typing import Any

from benchmarks.rl.cells import Cell
from benchmarks.rl.recipes import Recipe, Recipes
from benchmarks.rl.training import imitation_settings

SFT_MIN = 2.0
"""About how long imitation and evaluations take."""


def task_name(task: str, seed: int) -> str:
    """Name of a task's cell."""
    return f"task.{task}.seed{seed}"


def arm_name(arm: str, seed: int) -> str:
    """Name of an ablation arm's cell."""
    return f"ablation.{arm}.seed{seed}"


def generalisation_name(study: str, way: str, seed: int) -> str:
    """Name of the cell of one way of learning, "sft" or "rl"."""
    return f"generalisation.{study}.{way}.seed{seed}"


def sb3_name(seed: int) -> str:
    """Name of a cell with stable-baselines3."""
    return f"sb3.seed{seed}"


SCALING = "scaling"


def plan(recipes: Recipes) -> list[Cell]:
    """The cells; every cell stands after the one that it needs."""
    cells = [_task(recipes, task, seed) for seed in recipes.seeds for task in recipes.tasks]
    known = {cell.name: cell for cell in cells}
    if recipes.scaling:
        recipe = _of(recipes, recipes.scaling)
        settings = {**recipes.scaling, "seed": recipes.seeds[0], "settings": imitation_settings(recipe.settings)}
        cells.append(Cell(SCALING, "scaling", settings, SFT_MIN))
    if recipes.sb3:
        cells += [_sb3(recipes, known[task_name(recipes.sb3["task"], seed)], seed) for seed in recipes.seeds]
    for seed in recipes.seeds:
        cells += _ablations(recipes, seed)
    for study in recipes.generalisation:
        for seed in recipes.seeds:
            cells += _generalisation(recipes, study, seed)
    return cells


def _of(recipes: Recipes, part: Any) -> Recipe:  # noqa: ANN401 - a part of the YAML file
    if part["task"] not in recipes.tasks:
        raise ValueError(f"task {part['task']!r} has no recipe; expected one of {', '.join(recipes.tasks)}")
    return recipes.tasks[part["task"]]


def _training(recipes: Recipes, recipe: Recipe, seed: int, evaluated: list[str]) -> dict[str, Any]:
    return {
        "seed": seed,
        "budget_min": recipe.budget_min,
        "settings": dict(recipe.settings),
        "episodes": recipes.episodes,
        "first_seed": recipes.first_seed,
        "evaluated": evaluated,
    }


def _task(recipes: Recipes, task: str, seed: int) -> Cell:
    recipe = recipes.tasks[task]
    settings = _training(recipes, recipe, seed, ["sft", "rl"])
    return Cell(task_name(task, seed), "training", settings, recipe.budget_min + SFT_MIN)


def _sb3(recipes: Recipes, ours: Cell, seed: int) -> Cell:
    recipe = _of(recipes, recipes.sb3)
    settings = {**recipes.sb3, "seed": seed, "ours": ours.fingerprint, "settings": imitation_settings(recipe.settings)}
    return Cell(sb3_name(seed), "sb3", settings, recipes.sb3["limit"] * recipe.budget_min / 2, needs=ours.name)


def _ablations(recipes: Recipes, seed: int) -> list[Cell]:
    found = recipes.ablations
    if not found:
        return []
    return [
        Cell(
            arm_name(arm, seed),
            "training",
            _training(recipes, Recipe(found.recipe.budget_min, {**found.recipe.settings, **changed}), seed, ["rl"]),
            found.recipe.budget_min + SFT_MIN / 2,
        )
        for arm, changed in found.arms.items()
    ]


def _generalisation(recipes: Recipes, study: str, seed: int) -> list[Cell]:
    found = recipes.generalisation[study]
    shared = {
        "seed": seed,
        "settings": dict(found.recipe.settings),
        "held_out": dict(found.held_out),
        "episodes": recipes.episodes,
        "first_seed": recipes.first_seed,
    }
    imitation = {**shared, "imitation": dict(found.imitation), "steps": list(found.imitation_steps)}
    reinforcement = {**shared, "points": found.points, "budget_min": found.recipe.budget_min}
    return [
        Cell(
            generalisation_name(study, "sft", seed),
            "generalisation_sft",
            imitation,
            SFT_MIN * len(found.imitation_steps),
        ),
        Cell(
            generalisation_name(study, "rl", seed),
            "generalisation_rl",
            reinforcement,
            found.points * (found.recipe.budget_min + 0.5) + SFT_MIN,
        ),
    ]
