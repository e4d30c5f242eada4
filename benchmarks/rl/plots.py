"""Curves of the finished cells as small SVG pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.rl.cells import Store
from benchmarks.rl.plan import arm_name, plan, task_name
from benchmarks.rl.recipes import Recipes
from sim_train.reports.plots import COLOURS

_RC: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": "benchmarks", "font.size": 8}
_SIZE = (4.6, 2.8)  # inches


def draw_all(recipes: Recipes, store: Store, values: Mapping[str, Any], directory: Path) -> list[str]:
    """Write whatever there is something to draw of into `directory`; returns names of the files."""
    directory.mkdir(parents=True, exist_ok=True)
    curves = {cell.name: stored.result for cell in plan(recipes) if (stored := store.find(cell))}
    figures = {}
    with rc_context(_RC):
        for task in recipes.tasks:
            runs = [curves[name] for seed in recipes.seeds if (name := task_name(task, seed)) in curves]
            if runs:
                figures[task] = _task(task, runs)
        for name, found in (values["ablations"] or {}).items():
            arms = [
                [curves[cell] for seed in recipes.seeds if (cell := arm_name(arm, seed)) in curves]
                for arm in found["arms"]
            ]
            figures[f"ablation_{name}"] = _ablation(name, found["arms"], arms)
        for name, ways in (values["generalisation"] or {}).items():
            figures[f"generalisation_{name}"] = _generalisation(name, ways)
        for name, figure in figures.items():
            figure.savefig(directory / f"{name}.svg", format="svg", metadata={"Date": None})
    return [f"{name}.svg" for name in figures]


def _task(task: str, runs: Sequence[Mapping[str, Any]]) -> Figure:
    figure, axes = _axes(task, "minutes of RL", "success")
    for number, run in enumerate(runs):
        colour = COLOURS[number % len(COLOURS)]
        _curve(axes, run["curve"], colour, "")
        end = run["curve"][-1]["seconds"] / 60
        for x, stage in ((0.0, "sft"), (end, "rl")):
            low, high = run[stage]["success_ci95"]
            axes.plot([x] * 2, [low, high], color=colour, linewidth=1)
            axes.plot([x], [run[stage]["success"]], "D", color=colour, markersize=4)
    axes.plot([], [], color="#9aa5b1", label="validation starts")
    axes.plot([], [], "D", color="#9aa5b1", markersize=4, label="held out, 95 %")
    axes.legend(frameon=False, loc="lower right")
    return figure


def _ablation(name: str, arms: Sequence[str], runs: Sequence[Sequence[Mapping[str, Any]]]) -> Figure:
    figure, axes = _axes(name, "minutes of RL", "success, validation starts")
    for arm, of_arm, colour in zip(arms, runs, COLOURS, strict=False):
        for number, run in enumerate(of_arm):
            _curve(axes, run["curve"], colour, arm if number == 0 else "")
    axes.legend(frameon=False, loc="lower right")
    return figure


def _generalisation(name: str, ways: Mapping[str, Any]) -> Figure:
    figure, axes = _axes(f"held-out {name}", "success, seen", "success, held out")
    for (way, label), colour in zip((("sft", "SFT"), ("rl", "RL")), COLOURS, strict=False):
        points = ways.get(way, [])
        axes.plot([p["seen"] for p in points], [p["held_out"] for p in points], "o-", color=colour, label=label)
    axes.plot([0, 1], [0, 1], ":", color="#9aa5b1")
    axes.set(xlim=(-0.02, 1.02))
    axes.legend(frameon=False, loc="lower right")
    return figure


def _curve(axes: Axes, curve: Sequence[Mapping[str, float]], colour: str, label: str) -> None:
    axes.plot(
        [p["seconds"] / 60 for p in curve],
        [p["greedy"] for p in curve],
        ".-",
        color=colour,
        linewidth=1,
        label=label or None,
    )


def _axes(title: str, x: str, y: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=_SIZE, layout="constrained")
    axes = figure.subplots()
    axes.set(title=title, xlabel=x, ylabel=y, ylim=(-0.02, 1.02))
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes
