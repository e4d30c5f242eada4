"""Reinforcement learning on a terminal: success, time and diagnostics of the updates so far."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sim_train.reports.diagnostics import complete, of_task

_LEVELS = "▁▂▃▄▅▆▇█"
_WIDTH = 32
_ROWS = (
    ("mixed groups", "mixed_share", "{:.0%}"),
    ("clipped low", "clip_low", "{:.1%}"),
    ("clipped high", "clip_high", "{:.1%}"),
    ("KL, nats", "approx_kl", "{:.4f}"),
    ("largest |ratio - 1|", "max_ratio_error", "{:.1f}"),
    ("entropy, nats", "entropy", "{:.2f}"),
    ("gradient norm", "grad_norm", "{:.2f}"),
    ("success length, chunks", "success_length", "{:.1f}"),
    ("log-probability gap", "rollout_gap", "{:.1e}"),
    ("staleness, versions", "staleness", "{:.2f}"),
    ("faults", "fault_rate", "{:.1%}"),
    ("refused chunks", "refused_share", "{:.1%}"),
)

_NAME = 21  # characters of a task's name; a line then fits in 80
_PHASES = (("rollouts", "rollout_s"), ("update", "update_s"), ("validation", "validation_s"))
_SPEEDS = (("episodes/s", "episodes_per_s"), ("steps/s", "steps_per_s"))
_WORKERS = (
    ("environment", "environment_s"),
    ("pictures", "render_s"),
    ("inference", "inference_s"),
    ("idle", "idle_s"),
)


def sparkline(
    values: Sequence[float | None], width: int = _WIDTH, low: float | None = None, high: float | None = None
) -> str:
    """The last `width` values as bars of one character; a blank where there is none.

    Args:
        values: in order of time.
        width: characters at most.
        low: value of the lowest bar; by default the least of those shown.
        high: value of the highest bar; by default the greatest of those shown.
    """
    shown = values[-width:]
    known = [value for value in shown if value is not None]
    if not known:
        return ""
    bottom = min(known) if low is None else low
    span = (max(known) if high is None else high) - bottom
    top = len(_LEVELS) - 1

    def bar(value: float | None) -> str:
        if value is None:
            return " "
        share = (value - bottom) / span if span > 0 else 0.5
        return _LEVELS[min(max(round(share * top), 0), top)]

    return "".join(bar(value) for value in shown)


class Dashboard:
    """What `rich` draws; grows by one record an update.

    Args:
        budget_min: minutes that the stage may take; the record's `seconds` count against it.
    """

    def __init__(self, budget_min: float) -> None:
        self._budget_s = budget_min * 60
        self._records: list[dict[str, Any]] = []
        self._greedy: list[dict[str, Any]] = []
        self._tasks: list[str] = []
        self._drawn: RenderableType = Group()

    def add(self, record: dict[str, Any]) -> None:
        """Show one more record of `metrics/rl.jsonl`."""
        before = self._records[-1]["episodes"] if self._records else 0 if record["update"] == 1 else None
        self._records = [*self._records, complete(record, None, before)][-_WIDTH:]
        if record.get("greedy_success") is not None:
            self._greedy = [*self._greedy, record][-_WIDTH:]
        seen = (*record.get("tasks", ()), *record.get("greedy_tasks", ()))
        self._tasks = list(dict.fromkeys((*self._tasks, *seen)))
        self._drawn = self._draw()

    def __rich__(self) -> RenderableType:
        return self._drawn

    def _draw(self) -> RenderableType:
        table = Table.grid(padding=(0, 2))
        for name, records, key, interval in (
            ("sampled success", self._records, "success", "success_ci95"),
            ("greedy success", self._greedy, "greedy_success", "greedy_ci95"),
        ):
            if records:
                curve = sparkline([record.get(key) for record in records], low=0.0, high=1.0)
                table.add_row(name, curve, _rate(records[-1].get(key), records[-1].get(interval)))
        for task in self._tasks:
            table.add_row(*self._task_row(task))
        for name, key, form in _ROWS:
            values = [record.get(key) for record in self._records]
            if any(value is not None for value in values):
                table.add_row(name, sparkline(values), "-" if values[-1] is None else form.format(values[-1]))
        return Group(table, *(Text(line, style="dim") for line in (*self._phases(), self._left())))

    def _task_row(self, task: str) -> tuple[str, str, str]:
        """Sampled success of one of several tasks; greedy beside it."""
        sampled = [record["success"] for record in of_task(self._records, task)]
        greedy = [record["greedy_success"] for record in of_task(self._greedy, task)]
        known = next((rate for rate in reversed(sampled) if rate is not None), None)
        told = "-" if known is None else f"{known:.0%}"
        told += f", greedy {greedy[-1]:.0%}" if greedy and greedy[-1] is not None else ""
        return (
            "  " + (task if len(task) < _NAME else task[: _NAME - 3] + ".."),
            sparkline(sampled, low=0.0, high=1.0),
            told,
        )

    def _phases(self) -> list[str]:
        """Seconds of the latest update, and of the workers in it."""
        last = self._records[-1]
        phases = [f"{name} {last[key]:.1f} s" for name, key in _PHASES if last.get(key) is not None]
        speeds = [f"{last[key]:.0f} {name}" for name, key in _SPEEDS if last.get(key) is not None]
        workers = [f"{name} {last[key]:.1f} s" for name, key in _WORKERS if last.get(key) is not None]
        return [", ".join(phases + speeds), *(["workers: " + ", ".join(workers)] if workers else [])]

    def _left(self) -> str:
        first, last = self._records[0], self._records[-1]
        left_s = max(self._budget_s - last["seconds"], 0.0)
        text = f"at most {left_s / 60:.1f} of {self._budget_s / 60:.1f} min left"
        if last["update"] > first["update"]:
            pace_s = (last["seconds"] - first["seconds"]) / (last["update"] - first["update"])
            text += f", about {left_s / max(pace_s, 1e-9):.0f} updates"
        end = datetime.datetime.now().astimezone() + datetime.timedelta(seconds=left_s)
        return f"{text}; ends by {end:%H:%M}"


def _rate(rate: float | None, interval: Sequence[float] | None) -> str:
    if rate is None:
        return "-"
    return f"{rate:.1%}" + (f" ({interval[0]:.0%}..{interval[1]:.0%})" if interval else "")
