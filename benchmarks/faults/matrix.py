"""Runs rows of the matrix, keeps the rigs that they need, and tells how far it is."""

import argparse
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console

from benchmarks.faults import rows_arm, rows_loop, rows_machine, rows_recording
from benchmarks.faults.attempt import MAKERS, Attempt, RigName, SkipRowError
from benchmarks.faults.catalogue import BY_ID
from benchmarks.faults.chaos import Outcome, run_seed
from benchmarks.faults.processes import TryError
from benchmarks.faults.properties import run_properties
from benchmarks.faults.results import Results
from benchmarks.faults.ring import Ring
from benchmarks.faults.robot import Robot

BUILT = (rows_arm, rows_loop, rows_machine, rows_recording)
"""Modules that name the functions of rows."""


class Rigs:
    """At most one rig at a time; the next one ends it. A context manager."""

    def __init__(self, log_dir: Path) -> None:
        self._log_dir = log_dir
        self._name: RigName = "none"
        self._rig: Any = None
        self._started = False

    def get(self, name: RigName) -> Any:  # noqa: ANN401 - each row knows the class of its rig
        """The rig, ready for a try. Raises `TryError` if it cannot be made ready."""
        if name == "none":
            return self._log_dir
        if self._name != name:
            self.drop()
            self._rig = Ring(self._log_dir) if name == "ring" else Robot(self._log_dir)
            self._name = name
            self._started = False
        try:
            if not self._started:
                self._rig.start()
                self._started = True
            self._rig.ready()
        except TryError:
            self.drop()
            raise
        return self._rig

    def drop(self) -> None:
        """End the rig, if there is one."""
        if self._rig is not None:
            self._rig.close()
        self._rig, self._name = None, "none"

    def __enter__(self) -> "Rigs":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.drop()


def run_matrix(told: argparse.Namespace, scratch: Path, console: Console) -> int:
    """Make the tries that are missing. See `__main__`."""
    results = Results(told.results, told.page)
    chosen = sorted(MAKERS) if told.rows is None else told.rows
    if unknown := [row for row in chosen if row not in BY_ID]:
        raise ValueError(f"there is no row {unknown[0]}; rows are 1 to {max(BY_ID)}")
    if missing := [row for row in chosen if row not in MAKERS]:
        raise ValueError(f"row {missing[0]} ({BY_ID[missing[0]].fault}) has no test yet")
    chosen.sort(key=lambda row: (MAKERS[row].rig, row))
    with Rigs(scratch) as rigs:
        for row in chosen:
            if told.again:
                results.forget(row)
            _tries(row, told.tries, rigs, results, console)
        if told.properties:
            _properties(results, console)
        _chaos(range(told.first_seed, told.first_seed + told.chaos), rigs, results, console)
    results.save()
    good = [each for each in results.rows() if each.row.id in chosen]
    console.print(f"{sum(each.passed is True for each in good)} of {len(good)} rows passed; see {told.page}")
    clean = not any(results.counts[name] for name in ("chaos_breaches", "chaos_failures", "property_breaches"))
    return 0 if clean and all(each.passed for each in good if not each.skipped) else 1


def _properties(results: Results, console: Console) -> None:
    """Random situations of the limiter; a breach counts as one."""
    console.print("random situations of the limiter; this takes a while")
    results.counts["property_cases"], told = run_properties()
    results.counts["property_breaches"] = ["a property does not hold; run its tests"] if told else []
    results.save()
    console.print(told or f"{results.counts['property_cases']} cases hold", highlight=False)


def _chaos(seeds: range, rigs: Rigs, results: Results, console: Console) -> None:
    """Random runs that were not made yet; see `chaos`."""
    counts = results.counts
    for seed in seeds:
        if seed in counts["chaos_seeds"]:
            continue
        try:
            outcome = run_seed(rigs.get("ring"), seed)
        except TryError as error:
            outcome = Outcome(seed, (), (), f"the loop could not be started: {error}")
        if outcome.failure:
            rigs.drop()
        counts["chaos_seeds"].append(seed)
        counts["chaos_runs"] = len(counts["chaos_seeds"])
        counts["chaos_breaches"] += outcome.told(*outcome.breaches)
        counts["chaos_failures"] += outcome.told(outcome.failure)
        results.save()
        bad = outcome.told(*outcome.breaches, outcome.failure)
        console.print(f"seed {seed}: {'; '.join(bad) or 'fine'}", style="red" if bad else "", highlight=False)


def _tries(row: int, wanted: int, rigs: Rigs, results: Results, console: Console) -> None:
    maker = MAKERS[row]
    while results.tried(row) < wanted:
        number = results.tried(row)
        try:
            attempt = maker.make(rigs.get(maker.rig), number)
        except SkipRowError as error:
            results.skip(row, str(error))
            console.print(f"row {row}, {BY_ID[row].fault}: not tried: {error}", highlight=False)
            return
        except TryError as error:
            attempt = Attempt(failure=str(error))
            rigs.drop()
        results.add(row, attempt)
        bound = BY_ID[row].bound_ms
        late = bound is not None and attempt.react_ms is not None and attempt.react_ms > bound
        wrong = attempt.failure or "; ".join(attempt.breaches) or ("too late" if late else "")
        text = f"row {row}, {BY_ID[row].fault}: try {number + 1} of {wanted}: {f'no ({wrong})' if wrong else 'passed'}"
        if attempt.react_ms is not None:
            text += f", {attempt.react_ms:.1f} ms"
        console.print(text, style="red" if wrong else "", highlight=False)
