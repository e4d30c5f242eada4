"""`make bench-rl`: what reinforcement learning reaches, into `benchmarks/results/rl.json`, `rl.md` and `rl/`.

`python -m benchmarks.rl [--cells PATTERN,..] [--budget-min MINUTES] [--list]`. Every finished cell is a small file in
`benchmarks/results/rl`, to be committed; cells whose file is there and whose recipe is unchanged are not measured
again, on whatever machine. Ctrl-C saves the cell that is running.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, Final

from rich.console import Console

from benchmarks.rl.cells import Store, StoreError
from benchmarks.rl.measuring import KINDS, Measure
from benchmarks.rl.plan import plan
from benchmarks.rl.plots import draw_all
from benchmarks.rl.recipes import RECIPES, RecipeError, Recipes, read_recipes
from benchmarks.rl.results import best_task_cell, summary
from benchmarks.rl.runner import choose, overview, run
from benchmarks.rl.tables import page
from benchmarks.rl.workshop import Workshop
from benchmarks.writing import write

RESULTS: Final = Path(__file__).parents[1] / "results"
SCRATCH: Final = Path("outputs/bench-rl")
INTERRUPTED: Final = 130


def write_results(recipes: Recipes, store: Store, results: Path, failures: Mapping[str, str]) -> dict[str, Any]:
    """Write `rl.json`, `rl.md` and the plots; returns the figures."""
    values = summary(recipes, store)
    plots = draw_all(recipes, store, values, store.directory)
    write(results / "rl.json", json.dumps(values, indent=2) + "\n")
    write(results / "rl.md", page(values, [f"rl/{name}" for name in plots], failures))
    return values


def write_report(recipes: Recipes, shop: Workshop, console: Console) -> None:
    """The report page of the best run, where its directory is on this machine."""
    best = best_task_cell(recipes, shop.store)
    if best is None or not (shop.place(best) / "rl").is_dir():
        return
    output = shop.scratch / "report.html"
    command = [sys.executable, "-m", "sim_train.report", str(shop.place(best)), "--output", str(output)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    said = f"report of the best run, {best.name}: {output}" if done.returncode == 0 else done.stderr.strip()
    console.print(said, highlight=False)


def main(
    arguments: Sequence[str] | None = None,
    recipes_file: Path = RECIPES,
    results: Path = RESULTS,
    scratch: Path = SCRATCH,
    kinds: Mapping[str, Measure] = KINDS,
) -> int:
    """Entry point; returns the exit status: 0, 1 if cells failed, 2 for bad arguments, 130 after Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rl", description="What reinforcement learning reaches.")
    parser.add_argument("--cells", default="", metavar="PATTERN,..", help="names, such as 'task.*' (default: all)")
    parser.add_argument("--budget-min", type=float, metavar="MINUTES", help="begin no cell after so many minutes")
    parser.add_argument("--list", action="store_true", help="show what is done and what is missing, and do nothing")
    told = parser.parse_args(arguments)
    console = Console(soft_wrap=True)
    store = Store(results / "rl")
    try:
        recipes = read_recipes(recipes_file)
        cells = plan(recipes)
        chosen = choose(cells, told.cells)
        if told.list:
            console.print(overview(chosen, store))
            return 0
        shop = Workshop(scratch, store, {cell.name: cell for cell in cells})
        before = signal.signal(signal.SIGTERM, _interrupt)
        try:
            outcome = run(chosen, shop, kinds, console, told.budget_min, lambda: _written(recipes, store, results))
        finally:
            signal.signal(signal.SIGTERM, before)
        values = write_results(recipes, store, results, outcome.failed)
        write_report(recipes, shop, console)
    except (RecipeError, StoreError, ValueError) as error:
        print(f"bench-rl: {error}", file=sys.stderr)
        return 2
    if outcome.stopped:
        console.print(outcome.stopped, highlight=False)
    console.print(f"{len(values['missing'])} cells are not measured yet: {results / 'rl.md'}", highlight=False)
    if outcome.stopped.startswith("interrupted"):
        return INTERRUPTED
    return 1 if outcome.failed else 0


def _written(recipes: Recipes, store: Store, results: Path) -> None:
    write_results(recipes, store, results, {})


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    raise SystemExit(main())
