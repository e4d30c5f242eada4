"""Metrics of a run as TensorBoard event files."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from sim_train.reports.runs import TrainingRun, flat

FOLDER = "tensorboard"


class TensorBoardMissingError(RuntimeError):
    """The package that writes event files is not installed."""


def scalars(run: TrainingRun) -> Iterator[tuple[str, float, int]]:
    """Name, value, step of every number in the run's metrics; an interval becomes two numbers, and what is told of each
    task has the task's name in front, as in "rl/tasks/pick_cube/success"."""
    for stage, records, step in (("sft", run.sft, "step"), ("rl", run.rl, "update")):
        for record in records:
            for dotted, value in flat(record).items():
                name = dotted.replace(".", "/")
                if isinstance(value, (int, float)) and name != step:
                    yield f"{stage}/{name}", float(value), record[step]
                elif isinstance(value, list):
                    for end, bound in zip(("low", "high"), value, strict=True):
                        yield f"{stage}/{name}_{end}", float(bound), record[step]


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
