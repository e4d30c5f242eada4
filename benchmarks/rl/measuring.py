"""Which function measures which kind of cell."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from benchmarks.rl.cells import Cell
from benchmarks.rl.generalisation import imitation_cell, reinforcement_cell
from benchmarks.rl.sb3 import sb3_cell
from benchmarks.rl.scaling import scaling_cell
from benchmarks.rl.training import training_cell
from benchmarks.rl.workshop import Workshop

Measure = Callable[[Workshop, Cell], dict[str, Any]]
"""Does a cell's work in the workshop; what it returns goes into the cell's file."""

KINDS: Final[dict[str, Measure]] = {
    "training": training_cell,
    "scaling": scaling_cell,
    "sb3": sb3_cell,
    "generalisation_sft": imitation_cell,
    "generalisation_rl": reinforcement_cell,
}
