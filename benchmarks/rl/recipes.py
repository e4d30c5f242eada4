"""Reads `recipes.yaml`: what is trained, and how."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

RECIPES = Path(__file__).parent / "recipes.yaml"


class RecipeError(ValueError):
    """A recipe that makes no sense; the text says where."""


@dataclass(frozen=True)
class Recipe:
    """One training run, whatever its seed."""

    budget_min: float
    """Minutes of reinforcement."""
    settings: Mapping[str, Any]
    """Settings of `sim_train.train` by dotted name."""


@dataclass(frozen=True)
class Ablations:
    """Arms that start from the same imitation, and which of them are compared."""

    recipe: Recipe
    arms: Mapping[str, Mapping[str, Any]]
    """Settings in which each arm differs from the recipe."""
    compare: Mapping[str, tuple[str, str]]
    """Name of a technique -> arm with it, arm without."""


@dataclass(frozen=True)
class Generalisation:
    """Success on what is trained on and on what is not, along imitation and along reinforcement."""

    recipe: Recipe
    """`budget_min` is that of one point of reinforcement."""
    points: int
    """Of reinforcement."""
    imitation: Mapping[str, Any]
    """Settings in which the longer imitation differs."""
    imitation_steps: tuple[int, ...]
    """Its points."""
    held_out: Mapping[str, Any]
    """Settings of `sim_train.evaluate` for what is not trained on."""


@dataclass(frozen=True)
class Recipes:
    """The whole file."""

    seeds: tuple[int, ...]
    episodes: int
    """Of a held-out evaluation."""
    first_seed: int
    """Of the evaluation range."""
    tasks: Mapping[str, Recipe]
    ablations: Ablations | None = None
    generalisation: Mapping[str, Generalisation] = field(default_factory=dict)
    """By what is held out."""
    sb3: Mapping[str, Any] = field(default_factory=dict)
    """See `benchmarks.rl.sb3`; empty: not compared."""
    scaling: Mapping[str, Any] = field(default_factory=dict)
    """See `benchmarks.rl.scaling`; empty: not measured."""


def read_recipes(path: Path = RECIPES) -> Recipes:
    """The recipes in a file.

    Raises:
        RecipeError: something is missing, unknown or of the wrong kind.
    """
    try:
        plain = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise RecipeError(f"{path} cannot be read: {error}") from error
    top = _mapping(plain, str(path))
    known = {"seeds", "episodes", "first_seed", "common", "tasks", "ablations", "generalisation", "sb3", "scaling"}
    if odd := sorted(top.keys() - known):
        raise RecipeError(f"{path}: unknown part {odd[0]!r}; known are {', '.join(sorted(known))}")
    try:
        common = _mapping(top.get("common") or {}, "common")
        recipes = Recipes(
            seeds=tuple(int(seed) for seed in top["seeds"]),
            episodes=int(top["episodes"]),
            first_seed=int(top["first_seed"]),
            tasks={
                name: _recipe(part, f"tasks.{name}", {**common, "task": name})
                for name, part in _mapping(top["tasks"], "tasks").items()
            },
            ablations=_ablations(top["ablations"], common) if top.get("ablations") else None,
            generalisation={
                name: _generalisation(part, f"generalisation.{name}", common)
                for name, part in _mapping(top.get("generalisation") or {}, "generalisation").items()
            },
            sb3=_mapping(top.get("sb3") or {}, "sb3"),
            scaling=_mapping(top.get("scaling") or {}, "scaling"),
        )
    except KeyError as error:
        raise RecipeError(f"{path}: {error.args[0]!r} is missing") from error
    except (TypeError, ValueError) as error:
        raise RecipeError(f"{path}: {error}") from error
    if not recipes.seeds:
        raise RecipeError(f"{path}: seeds is empty; name at least one")
    return recipes


def _recipe(plain: object, where: str, base: Mapping[str, Any]) -> Recipe:
    part = _mapping(plain, where)
    budget_min = float(part["budget_min"])
    if not budget_min > 0:
        raise RecipeError(f"{where}.budget_min must be above 0 minutes; got {budget_min}")
    return Recipe(budget_min, {**base, **_mapping(part.get("settings") or {}, f"{where}.settings")})


def _ablations(plain: object, common: Mapping[str, Any]) -> Ablations:
    part = _mapping(plain, "ablations")
    arms = {name: _mapping(arm or {}, f"ablations.arms.{name}") for name, arm in part["arms"].items()}
    compare = {}
    for name, pair in _mapping(part["compare"], "ablations.compare").items():
        first, second = pair["with"], pair["without"]
        if odd := sorted({first, second} - arms.keys()):
            raise RecipeError(f"ablations.compare.{name}: there is no arm {odd[0]!r}; arms are {', '.join(arms)}")
        compare[name] = (first, second)
    return Ablations(_recipe(part, "ablations", common), arms, compare)


def _generalisation(plain: object, where: str, common: Mapping[str, Any]) -> Generalisation:
    part = _mapping(plain, where)
    return Generalisation(
        recipe=_recipe(part, where, common),
        points=int(part["points"]),
        imitation=_mapping(part.get("imitation") or {}, f"{where}.imitation"),
        imitation_steps=tuple(int(steps) for steps in part["imitation_steps"]),
        held_out=_mapping(part.get("held_out") or {}, f"{where}.held_out"),
    )


def _mapping(value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        raise RecipeError(f"{where} must be a mapping of names; got {value!r}")
    return value
