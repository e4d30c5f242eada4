"""Disk to memory, in phases: verify, load, warm up, replay the golden observations, admit.

Nothing that serves is touched: a revision joins the others at the very end, or not at all, and then its memory is
given back.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent import futures
from pathlib import Path
from typing import Any

import numpy as np
from policy_api.errors import PolicyApiError, ServerFault
from policy_api.schema import PolicySpec

from policy_server.revisions.budget import parameter_budget
from policy_server.revisions.catalog import Catalog
from policy_server.revisions.distances import distances
from policy_server.revisions.errors import CheckpointRefused
from policy_server.revisions.folder import CheckpointFolder, fingerprint
from policy_server.revisions.progress import Phase, Progress, Report
from policy_server.revisions.traffic import SHORT
from policy_server.seam import Answer, Priority, Request
from policy_server.served import ServedRevision
from sim_train.checkpoint import (
    ACTION_LIMIT,
    GOLDEN,
    MANIFEST,
    WEIGHTS,
    CheckpointError,
    build_policy,
    check_golden,
    check_hashes,
    contract_of,
    read_golden,
    read_manifest,
)

log = logging.getLogger(__name__)

_MAX_GOLDEN = 64
"""Golden observations; all of them are asked at once."""
_GOLDEN_NS = 60_000_000_000
"""Time for the golden observations; much longer than any robot waits."""


class Loader:
    """Loads checkpoints of a folder into a catalog."""

    def __init__(self, folder: CheckpointFolder, catalog: Catalog) -> None:
        self._folder = folder
        self._catalog = catalog

    def load(self, checkpoint: str, revision: str, report: Report) -> None:
        """Load one; does nothing more than verify if it is in memory already.

        Args:
            checkpoint: its directory, relative to the folder.
            revision: content hash that its weights must have; empty: any.
            report: told how far it is, on this thread and on that of the new policy.

        Raises:
            PolicyApiError: CheckpointRefused, UnknownCheckpoint, MemoryFull, LoadInProgress; ServerFault if a defect of
                the network or the machine ended it.
        """
        phase = Phase.VERIFYING

        def note(progress: Progress) -> None:
            nonlocal phase
            phase = progress.phase
            report(progress)

        note(Progress(phase, 0.0))
        try:
            self._load(self._folder.find(checkpoint), revision, note)
        except CheckpointError as error:
            text = str(error).replace(f"{self._folder.root}/", "")
            raise CheckpointRefused(f"refused while {phase.value}: {text}") from error
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise CheckpointRefused(f"{checkpoint[:200]!r} cannot be read while {phase.value}: {reason}") from error
        except PolicyApiError:
            raise
        except Exception as error:  # what builds a network may raise anything, MemoryError too
            log.exception("loading %r failed while %s", checkpoint[:200], phase.value)
            raise ServerFault(
                f"the checkpoint could not be loaded: {type(error).__name__} while {phase.value}; "
                "the server's log holds the cause, and what serves goes on"
            ) from error

    def _load(self, path: Path, wanted: str, report: Report) -> None:
        before = fingerprint(path)
        manifest, spec, revision = _verified(path, wanted, report)
        if (present := self._catalog.loaded(revision, spec.model)) is not None:
            report(Progress(Phase.ADMITTED, 1.0, spec, revision, present.prefix_steps))
            return
        weights_bytes = (path / WEIGHTS).stat().st_size
        self._catalog.reserve(spec, revision, weights_bytes)
        served: ServedRevision | None = None
        admitted = False
        try:
            report(Progress(Phase.LOADING, 0.0, spec, revision))
            with parameter_budget(weights_bytes):
                policy = build_policy(path, manifest)
            _check_count(path)
            report(Progress(Phase.LOADING, 0.5, spec, revision))
            check_golden(path / GOLDEN, policy)  # likelihoods, too, which are not served
            report(Progress(Phase.LOADING, 1.0, spec, revision))
            served = ServedRevision(policy)
            served.warm_up(lambda fraction: report(Progress(Phase.WARMING_UP, fraction, spec, revision)))
            error = _replayed(path, served, lambda share: report(Progress(Phase.GOLDEN, share, spec, revision)))
            if fingerprint(path) != before:
                raise CheckpointError(f"{path} was changed while it was loaded: load it again")
            self._catalog.admit(served)
            admitted = True
        finally:
            if not admitted:
                self._catalog.give_back(revision)
                if served is not None:
                    served.close()
        report(Progress(Phase.ADMITTED, 1.0, spec, revision, served.prefix_steps, error))


def _verified(path: Path, wanted: str, report: Report) -> tuple[dict[str, Any], PolicySpec, str]:
    """Manifest, contract and revision of a checkpoint whose files are those that the manifest names."""
    manifest = read_manifest(path)
    spec, revision = contract_of(manifest), manifest["weights_sha256"]
    if wanted and wanted != revision:
        raise CheckpointError(
            f"{path} holds revision {revision}, not {wanted[:64]!r}: ask for that one, or copy the right checkpoint"
        )
    if (place := _place_named_in(manifest["policy"])) is not None:
        raise CheckpointError(
            f"{path / MANIFEST} names weights outside of the checkpoint, {place[:200]!r}: save it again"
        )
    total, done, told = manifest["weights_bytes"] + manifest["golden_bytes"], 0, 0.0

    def read(count: int) -> None:
        nonlocal done, told
        done += count
        share = min(1.0, done / max(1, total))
        if share >= told + 0.01 or share == 1.0:
            told = share
            report(Progress(Phase.VERIFYING, share, spec, revision))

    check_hashes(path, manifest, read)
    return manifest, spec, revision


def _place_named_in(description: object) -> str | None:
    """A directory that the description of a network takes weights from; a checkpoint that we saved names none."""
    if isinstance(description, dict):
        if isinstance(place := description.get("weights"), str) and place:
            return place
        description = list(description.values())
    if isinstance(description, list):
        return next((found for part in description if (found := _place_named_in(part)) is not None), None)
    return None


def _check_count(path: Path) -> None:
    rows = len(read_golden(path / GOLDEN)[0].instructions)
    if rows > _MAX_GOLDEN:
        raise CheckpointError(f"{path / GOLDEN} asks {rows} times, at most {_MAX_GOLDEN} are asked: save it again")


def _replayed(path: Path, served: ServedRevision, report: Callable[[float], None]) -> float:
    """The largest difference of what the revision answers as it is served; CheckpointError if the mean is too large."""
    report(0.0)
    asked, golden = read_golden(path / GOLDEN)
    now_ns = time.monotonic_ns()
    requests = [
        Request(
            images={name: image[row] for name, image in asked.images.items()},
            state=asked.state[row],
            instruction=instruction,
            committed=None,
            memory=None,
            priority=Priority.EVALUATION,
            arrived_ns=now_ns,
            deadline_ns=now_ns + _GOLDEN_NS,
            wanted=lambda: True,
            answer=futures.Future[Answer](),
        )
        for row, instruction in enumerate(asked.instructions)
    ]
    for request in requests:
        served.submit(request)
    futures.wait([request.answer for request in requests], _GOLDEN_NS * 1e-9)
    try:
        answers = np.stack([request.answer.result(0).actions for request in requests])
    except futures.TimeoutError as error:
        raise CheckpointError(f"{path / GOLDEN}: no answer within {_GOLDEN_NS * 1e-9:g} s") from error
    found = distances(served.spec, answers, golden.actions)
    if not float(found.mean()) <= ACTION_LIMIT:
        raise CheckpointError(
            f"as it is served here, revision {served.revision[:SHORT]} does not answer the observations in "
            f"{path / GOLDEN} as it did when it was saved: actions differ by {float(found.mean()):.1%} of their range "
            f"on average (at most {ACTION_LIMIT:.0%}). This machine or its packages compute something else: compare "
            "them with made_with in the manifest"
        )
    report(1.0)
    return float(found.max())
