"""Curves of runs as SVG pictures.

Runs of one kind share a colour; where all of them have a value, their median is drawn thick and their range shaded.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from sim_train.reports.diagnostics import Diagnostic, Panel

COLOURS = ("#1b7f4d", "#2f5fb3", "#c4691c", "#8a3fa0", "#b3332b", "#3a8f9e")
_SOFT = "#9aa5b1"
_STYLES = ("-", ":", "--", "-.")
_RC: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": "sim_train", "font.size": 9, "font.family": "sans-serif"}
_ONE, _WIDE = (4.6, 2.7), (9.4, 3.4)  # inches
_MARGINS = {"left": 0.17, "right": 0.98, "bottom": 0.18, "top": 0.89}


@dataclass(frozen=True)
class Series:
    """Records of one run."""

    records: Sequence[dict[str, Any]]
    kind: int
    """Index of the run's kind, which decides the colour."""


def success_plot(runs: Sequence[Series], names: Sequence[str], task: str | None = None) -> bytes:
    """Sampled success of training with its interval, and greedy validation, over updates.

    Args:
        runs: what to draw.
        names: of the kinds.
        task: title of a small picture without a legend; None: a wide picture with one.
    """
    with rc_context(_RC):
        figure, axes = _axes(_ONE, _MARGINS) if task else _axes((_WIDE[0], _WIDE[1] + 0.2 * len(names)))
        for run in runs:
            colour = COLOURS[run.kind % len(COLOURS)]
            seen = [r for r in run.records if r.get("success") is not None]
            x = [r["update"] for r in seen]
            axes.plot(x, [r["success"] for r in seen], color=colour, linewidth=1, alpha=0.55)
            banded = [r for r in seen if r.get("success_ci95")]
            if len(runs) == 1 and banded:
                low, high = np.transpose([r["success_ci95"] for r in banded])
                axes.fill_between([r["update"] for r in banded], low, high, color=colour, alpha=0.15, linewidth=0)
            greedy = [r for r in run.records if r.get("greedy_success") is not None]
            axes.plot(
                [r["update"] for r in greedy], [r["greedy_success"] for r in greedy], "o-", color=colour, markersize=4
            )
            for r in greedy:
                if r.get("greedy_ci95"):
                    axes.plot([r["update"]] * 2, r["greedy_ci95"], color=colour, linewidth=1.2)
        for kind, name in enumerate(names if len(names) > 1 else []):
            axes.plot([], [], color=COLOURS[kind % len(COLOURS)], label=name)
        for kind in range(len(names)):
            _median(axes, [run for run in runs if run.kind == kind], "success", "update", COLOURS[kind % len(COLOURS)])
        axes.set(xlabel="update", ylabel="success", ylim=(-0.02, 1.05))
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        if task:
            axes.set_title(task, fontsize=10)
            return _svg(figure)
        axes.plot([], [], color=_SOFT, linewidth=1, label="sampled, training starts")
        axes.plot([], [], "o-", color=_SOFT, markersize=4, label="greedy, validation starts")
        figure.legend(frameon=False, fontsize=8, loc="outside lower left", ncols=2 if len(names) == 1 else 1)
        return _svg(figure)


def panel_plot(panel: Panel, runs: Sequence[Series], x: str = "update") -> bytes | None:
    """The curves of one panel; None if no run has any of them.

    Args:
        panel: what to draw.
        runs: of whom. The parts of a `stacked` panel are stacked for one run, and plain lines for several.
        x: key of the horizontal axis.
    """
    curves = [c for c in panel.curves if any(r.get(c.key) is not None for run in runs for r in run.records)]
    if not curves:
        return None
    with rc_context(_RC):
        figure, axes = _axes(_ONE, _MARGINS)
        if panel.style == "stacked" and len(runs) == 1:
            _stack(axes, curves, runs[0], x)
        else:
            _lines(axes, curves, runs, x)
            values = [r[c.key] for c in curves for run in runs for r in run.records if r.get(c.key) is not None]
            if panel.style == "log" and min(values) > 0:
                axes.set_yscale("log")
            elif panel.style == "log" and max(values) > 0:
                axes.set_yscale("symlog", linthresh=min(value for value in values if value > 0))
            if max(values) == min(values) == 0:
                axes.set_ylim(-0.05, 1)
        axes.set(xlabel=x, title=panel.title)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.title.set_fontsize(10)
        if len(curves) > 1:
            axes.legend(frameon=False, fontsize=7.5, loc="best")
        else:
            axes.set_ylabel(curves[0].label)
        return _svg(figure)


def rates_plot(names: Sequence[str], rates: Sequence[float], intervals: Sequence[Sequence[float]]) -> bytes:
    """Success rates, one below the other, each with its interval."""
    with rc_context(_RC):
        figure, axes = _axes((_WIDE[0], 0.7 + 0.28 * len(names)))
        places = np.arange(len(names))[::-1]
        for place, rate, (low, high) in zip(places, rates, intervals, strict=True):
            axes.plot([low, high], [place] * 2, color=COLOURS[0], linewidth=2, solid_capstyle="butt")
            axes.plot([rate], [place], "o", color=COLOURS[0], markersize=6)
        axes.set_yticks(places, names, fontsize=8)
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.6, len(names) - 0.4), xlabel="success, with its 95 % interval")
        return _svg(figure)


def _axes(size: tuple[float, float], margins: dict[str, float] | None = None) -> tuple[Figure, Axes]:
    """An empty plot; without margins they fit what will be in it, which takes three times as long."""
    figure = Figure(figsize=size, layout=None if margins else "constrained")
    axes = figure.add_subplot()
    if margins:
        figure.subplots_adjust(**margins)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#e6eaee", linewidth=0.8)
    axes.set_axisbelow(True)
    return figure, axes


def _stack(axes: Axes, curves: Sequence[Diagnostic], run: Series, x: str) -> None:
    parts = [[r.get(curve.key) or 0.0 for r in run.records] for curve in curves]
    places = [r[x] for r in run.records]
    axes.stackplot(
        [place + side for place in places for side in (-0.5, 0.5)],
        np.repeat(np.array(parts, dtype=float), 2, axis=1),
        labels=[curve.label for curve in curves],
        colors=COLOURS,
        alpha=0.75,
        linewidth=0,
    )
    axes.set_xlim(places[0] - 0.5, places[-1] + 0.5)


def _lines(axes: Axes, curves: Sequence[Diagnostic], runs: Sequence[Series], x: str) -> None:
    kinds = sorted({run.kind for run in runs})
    for number, curve in enumerate(curves):
        style = _STYLES[number % len(_STYLES)]
        for run in runs:
            seen = [r for r in run.records if r.get(curve.key) is not None]
            colour = COLOURS[(run.kind if len(runs) > 1 else number) % len(COLOURS)]
            axes.plot(
                [r[x] for r in seen],
                [r[curve.key] for r in seen],
                style if len(runs) > 1 else "-",
                color=colour,
                linewidth=0.8 if len(runs) > 1 else 1.4,
                alpha=0.6 if len(runs) > 1 else 1.0,
                marker="." if len(seen) == 1 else None,
            )
        for kind in kinds:
            _median(axes, [run for run in runs if run.kind == kind], curve.key, x, COLOURS[kind % len(COLOURS)], style)
        if len(curves) > 1:
            colour = "#1c2430" if len(runs) > 1 else COLOURS[number % len(COLOURS)]
            axes.plot([], [], style if len(runs) > 1 else "-", color=colour, label=curve.label)


def _median(axes: Axes, runs: Sequence[Series], key: str, x: str, colour: str, style: str = "-") -> None:
    """Median and range of several runs, at places where all of them have a value."""
    if len(runs) < 2:
        return
    values = [{r[x]: r[key] for r in run.records if r.get(key) is not None} for run in runs]
    shared = sorted(set.intersection(*(set(of_run) for of_run in values)))
    if shared:
        table = np.array([[of_run[place] for place in shared] for of_run in values])
        axes.plot(shared, np.median(table, axis=0), style, color=colour, linewidth=2)
        axes.fill_between(shared, table.min(axis=0), table.max(axis=0), color=colour, alpha=0.12, linewidth=0)


def _svg(figure: Figure) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    return file.getvalue()
