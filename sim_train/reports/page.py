"""The page of one or several runs: one HTML file that needs nothing else."""

from __future__ import annotations

import datetime
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from sim_train.reports import media, plots
from sim_train.reports.diagnostics import RL_PANELS, SFT_PANELS, Diagnostic, Panel, levels, of_task
from sim_train.reports.plots import Series
from sim_train.reports.pushcut import PLAYERS, pushcuts
from sim_train.reports.results import HELD_OUT, VALIDATION, Kind, gaps, kinds_of, median_and_range, success_of
from sim_train.reports.runs import TrainingRun, flat

_LEGEND = 100  # characters
_PHASES = ("rollout", "update", "validation")


def write_page(runs: Sequence[TrainingRun], path: Path) -> None:
    """Write the page of the runs to the file `path`, in one step.

    Raises:
        ValueError: no run.
    """
    if not runs:
        raise ValueError("a page needs at least one run")
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(path.name + ".tmp")
    fresh.write_text(page(runs, path), encoding="utf-8")
    os.replace(fresh, path)


def page(runs: Sequence[TrainingRun], path: Path) -> str:
    """The HTML of the page; `path` is the file that it is for, which links are relative to."""
    kinds = kinds_of(runs)
    number = {run.root: i for i, kind in enumerate(kinds) for run in kind.runs}
    rl = [Series(run.rl, number[run.root]) for run in runs if run.rl]
    sft = [Series(run.sft, number[run.root]) for run in runs if run.sft]
    successes = [success for run in runs for success in success_of(run)]
    measured = [success for success in successes if success.interval]
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.globals |= {"percent": _percent, "interval": _interval, "points": _points, "spread": _spread}
    return environment.get_template("page.html").render(
        title=" and ".join(sorted({run.task for run in runs})),
        date=datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
        runs=[_summary(run) for run in runs],
        kinds=[_kind_row(kind) for kind in kinds],
        successes=successes,
        gaps=gaps(successes),
        rates_plot=_picture(
            plots.rates_plot(
                [f"{s.run}, {s.task}, {s.stage}, {s.measured}" for s in measured],
                [s.rate for s in measured],
                [s.interval for s in measured if s.interval],
            )
        )
        if measured
        else None,
        success_plot=_picture(plots.success_plot(rl, [_legend(kind) for kind in kinds])) if rl else None,
        task_panels=_task_panels(runs, number, [_legend(kind) for kind in kinds]),
        rl_panels=_panels(RL_PANELS, rl, "update"),
        sft_panels=_panels(SFT_PANELS, sft, "step"),
        videos=[(run.name, pairs) for run in runs if (pairs := media.pairs(run, path))],
        pushcuts=[pushcut for run in runs for pushcut in pushcuts(run)],
        players=PLAYERS,
        settings=_settings(runs),
    )


def _panels(panels: Sequence[Panel], series: Sequence[Series], x: str) -> list[dict[str, str]]:
    drawn = [(panel, plots.panel_plot(panel, series, x)) for panel in panels]
    return [{"title": p.title, "note": p.note, "src": _picture(svg)} for p, svg in drawn if svg is not None]


def _task_panels(runs: Sequence[TrainingRun], number: Mapping[Path, int], names: Sequence[str]) -> list[dict[str, str]]:
    """Success of each of several tasks, and where a curriculum stands."""
    tasks = dict.fromkeys(
        name for run in runs for r in run.rl for name in (*r.get("tasks", ()), *r.get("greedy_tasks", ()))
    )
    found = []
    for task in tasks:
        mine = [Series(records, number[run.root]) for run in runs if (records := of_task(run.rl, task))]
        note = "Success: line, sampled on training starts; dots with 95 % intervals, greedy on validation starts."
        found.append({"title": task, "note": note, "src": _picture(plots.success_plot(mine, names, task))})
    at = [Series(records, number[run.root]) for run in runs if (records := levels(run.rl))]
    moving = dict.fromkeys(name for one in at for record in one.records for name in record if name != "update")
    note = "Level of difficulty of the groups played: 0 is where the curriculum's knobs start, 1 what is validated."
    panel = Panel("Curriculum", note, tuple(Diagnostic(name, name if len(moving) > 1 else "level") for name in moving))
    return found + (_panels([panel], at, "update") if at else [])


def _picture(svg: bytes) -> str:
    return media.data_uri(svg, "image/svg+xml")


def _summary(run: TrainingRun) -> dict[str, Any]:
    last = run.rl[-1] if run.rl else {}
    spent = {name: sum(r.get(f"{name}_s") or 0.0 for r in run.rl) for name in _PHASES}
    total_s = last.get("seconds") or 0.0
    evaluated = [e.result["seeds"] for e in run.evaluations if e.result.get("seeds")]
    seeds = sorted({int(seed) for one in evaluated for seed in one})
    return {
        "name": run.name,
        "task": run.task,
        "seed": run.config.get("seed", "unknown"),
        "status": run.status,
        "updates": last.get("update", 0),
        "episodes": last.get("episodes", 0),
        "minutes": total_s / 60,
        "phases": [(name, seconds / total_s) for name, seconds in spent.items() if seconds and total_s],
        "evaluation_seeds": f"{seeds[0]}..{seeds[-1]} ({len(seeds)})" if seeds else "not evaluated",
        "faults": sum(r["faults"] for r in run.rl),
        "restarts": sum(r.get("restarts") or 0 for r in run.rl),
    }


def _kind_row(kind: Kind) -> dict[str, Any]:
    final: dict[str, list[float]] = {HELD_OUT: [], VALIDATION: []}
    start: list[float] = []
    for run in kind.runs:
        for success in success_of(run):
            if success.stage == "rl" and success.measured in final:
                final[success.measured].append(success.rate)
            if success.stage == "sft" and success.measured == VALIDATION:
                start.append(success.rate)
    finished = [run.rl[-1] for run in kind.runs if "rl" in run.records and run.rl]
    return {
        "name": kind.name,
        "label": kind.label,
        "runs": len(kind.runs),
        "finished": len(finished),
        "sft": median_and_range(start),
        "validation": median_and_range(final[VALIDATION]),
        "held_out": median_and_range(final[HELD_OUT]),
        "updates": median_and_range([float(r["update"]) for r in finished]),
        "minutes": median_and_range([r["seconds"] / 60 for r in finished]),
    }


def _legend(kind: Kind) -> str:
    text = f"{kind.name}: {kind.label}"
    return text if len(text) <= _LEGEND else text[: _LEGEND - 3] + "..."


def _settings(runs: Sequence[TrainingRun]) -> list[tuple[str, list[str], bool]]:
    """Name, value of each run, whether they differ; differing ones first."""
    configs = [flat(run.config) for run in runs]
    names = list(dict.fromkeys(name for config in configs for name in config))
    rows = [(name, [str(config.get(name, "-")) for config in configs]) for name in names]
    return sorted(((n, v, len(set(v)) > 1) for n, v in rows), key=lambda row: not row[2])


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _interval(bounds: Sequence[float] | None) -> str:
    return f"{100 * bounds[0]:.1f} to {100 * bounds[1]:.1f} %" if bounds else "not recorded"


def _points(bounds: Sequence[float]) -> str:
    return f"{100 * bounds[0]:+.1f} to {100 * bounds[1]:+.1f}"


def _spread(values: tuple[float, float, float] | None, scale: float = 1.0, digits: int = 1) -> str:
    """Median and range."""
    if values is None:
        return "-"
    median, low, high = (f"{scale * value:.{digits}f}" for value in values)
    return median if low == high else f"{median} ({low}..{high})"
