"""What operators do to revisions in memory: look, share out the traffic, go back, unload."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from policy_server.revisions.catalog import Catalog
from policy_server.revisions.errors import RevisionInUse
from policy_server.revisions.guardrails import Guardrails
from policy_server.revisions.traffic import (
    CANARY,
    PREVIOUS,
    SHADOW,
    SHORT,
    STABLE,
    Traffic,
    changed,
    rolled_back,
    without_previous,
)
from policy_server.served import ServedRevision
from policy_server.stats import StatsSnapshot

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RevisionView:
    """A revision in memory, at one moment."""

    served: ServedRevision
    slot: str
    """"stable", "canary", "shadow", "previous" or "idle"."""
    sessions: int
    size_bytes: int
    stats: StatsSnapshot
    successes: int
    failures: int
    shadow_distance: float
    """Mean, as a share of each action's range."""


class Operations:
    """Changes to a catalog. Thread-safe."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def traffic(self, model: str) -> list[tuple[Traffic, Guardrails]]:
        """Traffic of a model, or of all if the name is empty, and the guardrails that hold; UnknownModel."""
        with self._catalog.lock:
            states = [self._catalog.state(model)] if model else list(self._catalog.models.values())
            return [(state.traffic, state.guardrails) for state in states]

    def revisions(self, model: str) -> list[RevisionView]:
        """What is in memory of a model, or of all if the name is empty; UnknownModel."""
        with self._catalog.lock:
            if model:
                self._catalog.state(model)
            found = [entry for entry in self._catalog.store.ready() if model in ("", entry.served.spec.model)]
            return [
                RevisionView(
                    entry.served,
                    self._catalog.models[entry.served.spec.model].traffic.slot_of(entry.served.revision),
                    entry.sessions,
                    entry.size_bytes,
                    entry.served.stats.snapshot(),
                    entry.successes,
                    entry.failures,
                    entry.distance.value,
                )
                for entry in found
            ]

    def set_traffic(self, wanted: Traffic, guardrails: Guardrails | None) -> Traffic:
        """Change who answers a model's episodes; what it is now.

        Sessions change at their next reset. Without `guardrails` those that hold already stay. A canary that was one
        before goes on with its trial; a new one begins it.

        Raises: see `policy_server.revisions.traffic.changed`, and UnknownModel.
        """
        with self._catalog.lock:
            state = self._catalog.state(wanted.model)
            after = changed(state.traffic, wanted, self._catalog.store.of_model(state.traffic.model))
            state.guardrails = guardrails or state.guardrails
            self._catalog.take(state, after)
        self._catalog.tell(after.model)
        return after

    def rollback(self, model: str, reason: str) -> Traffic:
        """Back to the stable revision before the present one; UnknownModel, InvalidTraffic. Nothing is loaded."""
        with self._catalog.lock:
            state = self._catalog.state(model)
            after = rolled_back(state.traffic, reason)
            self._catalog.take(state, after)
        self._catalog.tell(after.model)
        return after

    def unload(self, revision: str, force: bool) -> None:
        """Take a revision out of memory.

        The previous one can go, too; there is no rollback then. With `force` sessions that hold it are cut off: what
        they ask next is refused, and they go on with another revision after a reset.

        Raises UnknownRevision; RevisionInUse while traffic names it, or while sessions hold it and `force` is not set.
        """
        with self._catalog.lock:
            entry = self._catalog.store.any_model(revision)
            state = self._catalog.models[entry.served.spec.model]
            slot = state.traffic.slot_of(revision)
            if slot in (STABLE, CANARY, SHADOW):
                raise RevisionInUse(
                    f"revision {revision[:SHORT]} is the {slot} one of model {state.traffic.model!r}; "
                    "set that traffic otherwise first"
                )
            if entry.sessions and not force:
                raise RevisionInUse(
                    f"{entry.sessions} sessions hold revision {revision[:SHORT]} until their next reset; "
                    "wait for it, or force it, which ends them"
                )
            entry.draining = True
            if slot == PREVIOUS:
                self._catalog.take(state, without_previous(state.traffic, f"previous {revision[:SHORT]} was unloaded"))
        entry.served.close()
        with self._catalog.lock:
            self._catalog.store.drop(revision)
        log.info("revision %s of model %r unloaded", revision[:SHORT], entry.served.spec.model)
        self._catalog.tell(entry.served.spec.model)
