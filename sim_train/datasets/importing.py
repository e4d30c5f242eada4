"""Recorded episodes -> a data set, with a reason for every episode that is left out."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from policy_api.schema import PolicySpec, first_difference

from sim_train.datasets.demonstrations import DemonstrationSet
from sim_train.datasets.episode_log import UnusableEpisodeError, contract_of, read_facts, read_log
from sim_train.datasets.index import RECORDED, DatasetError, origin_of
from sim_train.datasets.recorded import RecordedEpisode, spec_problem, to_demonstration
from sim_train.files import write_file
from sim_train.rollouts.trajectories import Trajectories

REPORT: Final = "import.json"
_UNFINISHED = {
    ".partial": "it is still being recorded, or was never closed; see python -m episode_recorder.recovery",
    ".truncated": "the recording is truncated",
}


@dataclass(frozen=True)
class Taken:
    """An episode that became a demonstration."""

    id: str
    chunks: int
    cut: int
    """Numbers of its actions that lay outside the contract's bounds, and were cut."""


@dataclass(frozen=True)
class Skipped:
    """An episode that did not."""

    id: str
    reason: str


@dataclass(frozen=True)
class ImportReport:
    """What became of every episode."""

    taken: list[Taken]
    skipped: list[Skipped]


def import_episodes(
    source: Path,
    output: Path,
    contract: PolicySpec | None = None,
    chosen: Sequence[str] = (),
    on_episode: Callable[[Taken | Skipped], None] = lambda episode: None,
) -> ImportReport:
    """Make a data set of the episodes that the recorder left in `source`.

    Args:
        source: folder with a folder for each episode.
        output: directory of the data set; it appears when everything is done, and must not exist before.
        contract: of the policy that is to learn; None: that of the first usable episode.
        chosen: ids to take, whatever their outcome; empty: every success.
        on_episode: is told of each as it is done.

    Raises:
        DatasetError: nothing can be imported, or `output` exists; the text says why.
    """
    if output.exists():
        raise DatasetError(f"{output} exists; choose another directory, or remove it")
    if not source.is_dir():
        raise DatasetError(f"{source} is no folder; name the output_dir of the episode recorder")
    folders = sorted(path for path in source.iterdir() if path.is_dir() and not path.name.startswith("."))
    if unknown := sorted(set(chosen) - {folder.name for folder in folders}):
        raise DatasetError(f"{source} has no episode {unknown[0]!r}")
    if contract is not None and (problem := spec_problem(contract)):
        raise DatasetError(f"no recording can teach a policy of this contract: {problem}")

    report = ImportReport([], [])

    def skip(folder: Path, error: UnusableEpisodeError) -> None:
        report.skipped.append(Skipped(folder.name, str(error)))
        on_episode(report.skipped[-1])

    candidates: list[tuple[Path, dict[str, Any]]] = []
    for folder in folders:
        try:
            facts = _facts(folder, chosen)
            contract = _agreed(contract, contract_of(facts))
            candidates.append((folder, facts))
        except UnusableEpisodeError as error:  # noqa: PERF203 - each has its own reason
            skip(folder, error)
    if contract is None:
        raise _nothing(source, report)

    with _growing(output) as growing:
        origin = origin_of(contract, {"split": RECORDED, "task": contract.task})
        with DemonstrationSet.recording(growing, origin) as dataset:
            for folder, facts in candidates:
                try:
                    episode = to_demonstration(read_log(folder, facts), contract)
                except UnusableEpisodeError as error:
                    skip(folder, error)
                    continue
                dataset.append(_trajectory(episode, facts, len(dataset)), 1)
                report.taken.append(Taken(folder.name, len(episode.state), episode.cut))
                on_episode(report.taken[-1])
        if not report.taken:
            raise _nothing(source, report)
        write_file(growing / REPORT, (json.dumps(dataclasses.asdict(report), indent=2) + "\n").encode())
    return report


@contextmanager
def _growing(output: Path) -> Iterator[Path]:
    """A directory beside `output` that becomes it at the end, or goes away again."""
    output.parent.mkdir(parents=True, exist_ok=True)
    growing = output.with_name(f".{output.name}.importing")
    if growing.exists():  # of an import that was killed
        shutil.rmtree(growing)
    try:
        yield growing
        growing.rename(output)
    finally:
        if growing.exists():
            shutil.rmtree(growing)


def _facts(folder: Path, chosen: Sequence[str]) -> dict[str, Any]:
    if reason := _UNFINISHED.get(folder.suffix):
        raise UnusableEpisodeError(reason)
    if folder.suffix.startswith(".old-"):
        raise UnusableEpisodeError("it is an earlier attempt that was moved aside")
    if chosen and folder.name not in chosen:
        raise UnusableEpisodeError("it was not chosen")
    facts = read_facts(folder)
    if not chosen and facts["success"] is not True:
        raise UnusableEpisodeError(f"no success ({facts.get('reason') or 'no reason given'})")
    return facts


def _agreed(wanted: PolicySpec | None, own: PolicySpec) -> PolicySpec:
    """The contract wanted, or an episode's own where none is yet; they may differ in the name of the network alone."""
    if problem := spec_problem(own):
        raise UnusableEpisodeError(problem)
    if wanted is None:
        return own
    if difference := first_difference(dataclasses.replace(own, model=wanted.model), wanted):
        raise UnusableEpisodeError(f"its contract is another one: {difference}, which is wanted")
    return wanted


def _trajectory(episode: RecordedEpisode, facts: dict[str, Any], number: int) -> Trajectories:
    """One demonstration. Where the named object was, nobody knows: NaN."""
    chunks, one = len(episode.state), np.ones(1, dtype=np.int64)
    return Trajectories(
        images=episode.images,
        state=episode.state,
        target_position=np.full((chunks, 3), np.nan, dtype=np.float32),
        actions=episode.actions,
        drawn={},
        log_probs=np.zeros_like(episode.actions),
        executed_steps=episode.executed_steps,
        length=chunks * one,
        group=number * one,
        seed=facts["seed"] * one,
        task=0 * one,
        success=one.astype(np.bool_),
        version=0 * one,
        instructions=(" ".join(facts["instruction"].split()),),
    )


def _nothing(source: Path, report: ImportReport) -> DatasetError:
    reasons = Counter(skipped.reason for skipped in report.skipped).most_common(3)
    told = "; ".join(f"{count} x {reason}" for reason, count in reasons) or "there is no episode"
    return DatasetError(f"{source} has no usable episode: {told}")
