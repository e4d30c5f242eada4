"""Metrics of a run to Weights & Biases while it trains, where the user asks for it.

The same numbers under the same names as the event files have, see `sim_train.reports.tensorboard`. Without a network
set WANDB_MODE=offline; `wandb sync` brings what was written up later.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

from sim_train.reports.diagnostics import complete
from sim_train.reports.tensorboard import numbers

_STEPS = {"sft": "step", "rl": "update"}
_ID = "wandb_run_id"


@dataclass(frozen=True)
class ReportConfig:
    """Who else is told how training goes."""

    wandb: str = ""
    """Project of Weights & Biases; empty: none."""


class WandbMissingError(RuntimeError):
    """The package wandb is not installed."""


class WandbRun(Protocol):
    """What is used of `wandb.Run`."""

    def define_metric(self, name: str, step_metric: str) -> object:
        """Draw metrics of this name over another."""

    def log(self, data: dict[str, Any]) -> None:
        """Record numbers by name."""

    def finish(self) -> None:
        """End the run."""


class WandbModule(Protocol):
    """What is used of the module `wandb`."""

    def init(self, *, project: str, name: str, id: str, dir: str, resume: str, config: dict[str, Any]) -> WandbRun:
        """Begin a run, or go on with the one that has this id."""


class WandbLog:
    """One run, the same again after an interruption.

    Args:
        module: the package.
        project: where the run is listed.
        root: directory of the run.
        settings: all of them, as plain values.
    """

    def __init__(self, module: WandbModule, project: str, root: Path, settings: Mapping[str, Any]) -> None:
        root.mkdir(parents=True, exist_ok=True)
        known = root / _ID
        if not known.is_file():
            known.write_text(uuid.uuid4().hex, encoding="utf-8")
        self._wanted_groups = int(settings["rl"]["sampling"]["groups"])
        self._run = module.init(
            project=project,
            name="/".join(root.resolve().parts[-2:]),
            id=known.read_text(encoding="utf-8").strip(),
            dir=str(root),
            resume="allow",
            config=dict(settings),
        )
        for stage, step in _STEPS.items():
            self._run.define_metric(f"{stage}/*", step_metric=f"{stage}/{step}")

    def writer(self, stage: str) -> Callable[[dict[str, Any]], None]:
        """A function that takes the records of a stage."""
        before: int | None = None

        def write(record: dict[str, Any]) -> None:
            nonlocal before
            if stage == "rl":
                known = 0 if record["update"] == 1 else before
                before, record = record["episodes"], complete(record, self._wanted_groups, known)
            self._run.log({f"{stage}/{name}": value for name, value in numbers(record)})

        return write

    def close(self) -> None:
        """Wait until everything is written."""
        self._run.finish()


@contextmanager
def opened_log(config: ReportConfig, root: Path, settings: Mapping[str, Any]) -> Iterator[WandbLog | None]:
    """What the configuration asks for; None: nothing.

    Raises:
        WandbMissingError: it asks for wandb, which is not installed.
    """
    if not config.wandb:
        yield None
        return
    try:
        import wandb
    except ImportError as error:
        raise WandbMissingError(
            f"report.wandb={config.wandb} needs the package wandb ({error}): pip install wandb; or leave report.wandb "
            "empty: metrics are in metrics/*.jsonl all the same"
        ) from error
    log = WandbLog(cast("WandbModule", wandb), config.wandb, root, settings)
    try:
        yield log
    finally:
        log.close()
