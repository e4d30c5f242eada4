"""A cell is one piece of the benchmark: what it measures, with which settings, and the file that keeps its result."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from benchmarks.results import versions
from benchmarks.writing import machine, write
from sim_train.checkpoint.provenance import git_state


@dataclass(frozen=True)
class Cell:
    """One training run with its evaluations, or one measurement."""

    name: str
    """Also of its result file."""
    kind: str
    """What measures it: a key of `benchmarks.rl.measuring.KINDS`."""
    settings: Mapping[str, Any]
    """Everything that decides the result, as JSON takes it."""
    estimate_min: float
    """About how long it takes."""
    needs: str = ""
    """Name of a cell whose result it builds on; empty: none."""

    @property
    def fingerprint(self) -> str:
        """Equal for cells that measure the same; also names the cell's scratch directory."""
        return fingerprint({"kind": self.kind, "settings": self.settings})


def fingerprint(content: Mapping[str, Any]) -> str:
    """16 hexadecimal digits that say whether two settings are equal."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Stored:
    """What the file of a finished cell says."""

    result: Mapping[str, Any]
    machine: Mapping[str, Any]
    wall_s: float
    """Time that the cell took, its resumed parts not counted."""


class StoreError(ValueError):
    """A damaged result file; the text names it."""


class Store:
    """The result files in a directory, one a finished cell. They are small, and meant to be committed."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def path(self, cell: Cell) -> Path:
        """The cell's file."""
        return self.directory / f"{cell.name}.json"

    def find(self, cell: Cell) -> Stored | None:
        """The cell's result; None if there is none, or only one of other settings.

        Raises:
            StoreError: the file is damaged.
        """
        path = self.path(cell)
        if not path.is_file():
            return None
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if content["fingerprint"] != cell.fingerprint:
                return None
            return Stored(content["result"], content["machine"], float(content["wall_s"]))
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(
                f"{path} is no result of a cell ({error!r}); remove it to measure the cell again"
            ) from error

    def keep(self, cell: Cell, result: Mapping[str, Any], wall_s: float) -> None:
        """Write the cell's result; whoever reads sees the old file or the new one."""
        content = {
            "cell": cell.name,
            "kind": cell.kind,
            "fingerprint": cell.fingerprint,
            "settings": cell.settings,
            "machine": machine(),
            "versions": versions(),
            "git": git_state(Path(__file__).resolve().parents[2]),
            "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "wall_s": round(wall_s, 1),
            "result": result,
        }
        self.directory.mkdir(parents=True, exist_ok=True)
        path = self.path(cell)
        lines = [f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in content.items()]
        write(path, "{\n" + ",\n".join(lines) + "\n}\n")
