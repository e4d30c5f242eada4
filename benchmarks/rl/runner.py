"""Measures the cells that are missing, one after the other, until the budget is used up or somebody says stop."""

from __future__ import annotations

import fnmatch
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from benchmarks.rl.cells import Cell, Store
from benchmarks.rl.commands import CommandError
from benchmarks.rl.measuring import Measure
from benchmarks.rl.sb3 import NotComparableError
from benchmarks.rl.workshop import Workshop
from sim_train.checkpoint import CheckpointError
from sim_train.reports.progress import Stage
from sim_train.rollouts.pool import WorkerFailureError


@dataclass
class Outcome:
    """What became of a call."""

    done: list[str] = field(default_factory=list)
    """Cells that were measured now."""
    failed: dict[str, str] = field(default_factory=dict)
    """Cells that could not be measured -> why."""
    stopped: str = ""
    """Why cells were left; empty if none was."""


def choose(cells: Sequence[Cell], pattern: str) -> list[Cell]:
    """The cells whose names match one of the comma-separated patterns (`task.*,sb3.seed0`); empty: all.

    Raises:
        ValueError: a pattern matches no cell.
    """
    patterns = [part.strip() for part in pattern.split(",") if part.strip()] or ["*"]
    for one in patterns:
        if not fnmatch.filter([cell.name for cell in cells], one):
            raise ValueError(f"no cell matches {one!r}; --list shows their names")
    return [cell for cell in cells if any(fnmatch.fnmatchcase(cell.name, one) for one in patterns)]


def estimates_min(cells: Sequence[Cell], store: Store) -> Mapping[str, float]:
    """Minutes that each cell is likely to take: as long as finished ones of its group, or else as it is planned."""
    taken: dict[str, list[float]] = {}
    for cell in cells:
        stored = store.find(cell)
        if stored:
            taken.setdefault(_group(cell), []).append(stored.wall_s / 60)
    return {
        cell.name: statistics.median(taken[_group(cell)]) if _group(cell) in taken else cell.estimate_min
        for cell in cells
    }


def _group(cell: Cell) -> str:
    return cell.name.rsplit(".", 1)[0]


def overview(cells: Sequence[Cell], store: Store) -> Table:
    """What is done and what is missing, with estimates."""
    likely = estimates_min(cells, store)
    missing = [cell for cell in cells if store.find(cell) is None]
    left = sum(likely[cell.name] for cell in missing)
    table = Table(
        title=f"{len(cells) - len(missing)} of {len(cells)} cells are done; the others take about {left:.0f} min"
    )
    for heading in ("cell", "state", "minutes"):
        table.add_column(heading, justify="right" if heading == "minutes" else "left")
    for cell in cells:
        stored = store.find(cell)
        state = "done" if stored else ("changed" if store.path(cell).is_file() else "missing")
        minutes = f"{stored.wall_s / 60:.1f}" if stored else f"about {likely[cell.name]:.0f}"
        table.add_row(cell.name, state, minutes)
    return table


def run(
    cells: Sequence[Cell],
    shop: Workshop,
    kinds: Mapping[str, Measure],
    console: Console,
    budget_min: float | None = None,
    after: Callable[[], None] = lambda: None,
    clock: Callable[[], float] = time.monotonic,
) -> Outcome:
    """Measure the cells that are missing.

    Args:
        cells: in this order.
        shop: where; `say` is replaced by the progress shown.
        kinds: what measures a kind of cell.
        console: for progress.
        budget_min: no cell is begun after so many minutes; None: no limit.
        after: called whenever a cell is finished.
        clock: seconds.
    """
    outcome = Outcome()
    started = clock()
    missing = [cell for cell in cells if shop.store.find(cell) is None]
    with Stage("bench-rl", len(missing), console) as stage:
        for number, cell in enumerate(missing):
            if budget_min is not None and clock() - started >= budget_min * 60:
                outcome.stopped = f"the budget of {budget_min:g} min is used up; {len(missing) - number} cells are left"
                break
            began = clock()
            say = _teller(stage, number, cell)
            say("begins")
            try:
                result = kinds[cell.kind](Workshop(shop.scratch, shop.store, shop.cells, say), cell)
            except KeyboardInterrupt:
                outcome.stopped = f"interrupted in {cell.name}, which goes on where it stopped"
                break
            except (CheckpointError, CommandError, NotComparableError, OSError, WorkerFailureError) as error:
                outcome.failed[cell.name] = str(error)
                stage.say(escape(f"{cell.name} failed: {error}"))
                continue
            shop.store.keep(cell, result, clock() - began)
            outcome.done.append(cell.name)
            stage.say(f"{cell.name}: {(clock() - began) / 60:.1f} min")
            after()
        stage.advance(len(outcome.done))
    return outcome


def _teller(stage: Stage, number: int, cell: Cell) -> Callable[[str], None]:
    return lambda text: stage.advance(number, escape(f"{cell.name}: {text}"))
