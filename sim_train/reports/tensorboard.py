"""Metrics of a run as TensorBoard event files."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sim_train.reports.runs import TrainingRun, flat

FOLDER = "tensorboard"


class TensorBoardMissingError(RuntimeError):
    """The package that writes event files is not installed."""


def scalars(run: TrainingRun) -> Iterator[tuple[str, float, int]]:
    """Name, value, step of every number in the run's metrics; an interval becomes two numbers, and what is told of each
    task has the task's name in front, as in "rl/tasks/pick_cube/success"."""
    for stage, records, step in (("sft", run.sft, "step"), ("rl", run.rl, "update")):
        for record in records:
            yield from ((f"{stage}/{name}", value, record[step]) for name, value in numbers(record) if name != step)


def numbers(record: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Name and value of every number in a record, as described for `scalars`; a stage's name is not in front."""
    for dotted, value in flat(record).items():
        name = dotted.replace(".", "/")
        if isinstance(value, (int, float)):
            yield name, float(value)
        elif isinstance(value, list):
            yield from ((f"{name}_{end}", float(bound)) for end, bound in zip(("low", "high"), value, strict=True))


def write_events(run: TrainingRun) -> Path:
    """Write the folder `tensorboard` of the run anew; returns it.

    Raises:
        TensorBoardMissingError: see there.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise TensorBoardMissingError(
            f"event files need the package tensorboard ({error}); install it: pip install tensorboard"
        ) from error
    folder = run.root / FOLDER
    shutil.rmtree(folder, ignore_errors=True)
    with SummaryWriter(str(folder)) as writer:
        for name, value, step in scalars(run):
            writer.add_scalar(name, value, step)
    return folder
