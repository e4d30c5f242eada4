"""Who answers whom: `policy_server.seam.Hub` with revisions that come and go."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from policy_api.errors import PolicyApiError
from policy_api.schema import PolicySpec

from policy_server.revisions.catalog import Catalog
from policy_server.revisions.shadow import ShadowEpisode, Shadows
from policy_server.revisions.store import Resident
from policy_server.revisions.traffic import CANARY, SHORT, STABLE, share_of, without_canary
from policy_server.seam import Answer, Placement, Request

log = logging.getLogger(__name__)


@dataclass(eq=False)
class _Session:
    placement: Placement
    model: str
    entry: Resident
    shadow: ShadowEpisode
    is_judged: bool = False


class RevisionHub:
    """Places sessions on the revisions of a catalog, watches canaries and asks shadows. Thread-safe."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._sessions: dict[int, _Session] = {}  # by id() of the placement, which each of them keeps alive
        self._shadows = Shadows()

    def contracts(self) -> list[tuple[PolicySpec, str, int]]:
        """(contract, revision, prefix steps) of every model's stable revision."""
        with self._catalog.lock:
            stable = [self._catalog.resident(state.traffic.stable).served for state in self._catalog.models.values()]
        return [(served.spec, served.revision, served.prefix_steps) for served in stable]

    def place(self, robot_id: str, episode_id: str, model: str, revision: str, stable_only: bool) -> Placement:
        """Choose who answers an episode; UnknownModel, UnknownRevision. See `Traffic.chosen`.

        A revision that is asked for by name need not be one that traffic goes to; its slot is then "idle", say.
        """
        with self._catalog.lock:
            state = self._catalog.state(model)
            traffic = state.traffic
            if revision:
                entry, slot = self._catalog.store.resident(revision, traffic.model), traffic.slot_of(revision)
            else:
                chosen, slot = traffic.chosen(robot_id, episode_id, stable_only)
                entry = self._catalog.resident(chosen)
            placement = Placement(entry.served, slot)
            shadow = ShadowEpisode(traffic.shadow, share_of("shadow", traffic.model, robot_id, episode_id))
            self._sessions[id(placement)] = _Session(placement, traffic.model, entry, shadow)
            entry.sessions += 1
            return placement

    def release(self, placement: Placement, outcome: str) -> None:
        """An episode has ended: "success", "failure", "discarded" or "". A second time does nothing."""
        self.judged(placement, outcome)
        with self._catalog.lock:
            session = self._sessions.pop(id(placement), None)
            if session is not None:
                session.entry.sessions -= 1

    def judged(self, placement: Placement, outcome: str) -> None:
        """How an episode went, before the next one is placed: its verdict may end the canary. Counts once."""
        with self._catalog.lock:
            session = self._sessions.get(id(placement))
            if session is None or session.is_judged or outcome not in ("success", "failure"):
                return
            session.is_judged = True
            success = outcome == "success"
            state = self._catalog.models[session.model]
            trial = state.trial if state.trial is not None and state.trial.canary is session.entry else None
            for judged in (session.entry, trial):
                if judged is not None:
                    judged.successes += success
                    judged.failures += not success
        self._watch(session.model)

    def answered(self, placement: Placement, request: Request, result: Answer | PolicyApiError) -> None:
        """Watch the canary, and ask the shadow what the robot asked."""
        with self._catalog.lock:
            session = self._sessions.get(id(placement))
            if session is None:
                return
            state = self._catalog.models[session.model]
            traffic = state.traffic
            is_tried = state.trial is not None and state.trial.canary is session.entry
            is_shadowed = bool(traffic.shadow) and placement.slot in (STABLE, CANARY) and isinstance(result, Answer)
            shadow = self._catalog.resident(traffic.shadow) if is_shadowed else None
        if is_tried:
            self._watch(session.model)
        if shadow is not None and isinstance(result, Answer):
            self._shadows.offer(
                shadow.served, traffic.shadow_fraction, session.shadow, request, result, self._noter(shadow)
            )

    def residents(self) -> list[Placement]:
        """Every revision that is ready, and its slot."""
        with self._catalog.lock:
            ready = [(entry.served, entry.served.spec.model) for entry in self._catalog.store.ready()]
            traffic = {model: state.traffic for model, state in self._catalog.models.items()}
        return [Placement(served, traffic[model].slot_of(served.revision)) for served, model in ready]

    def subscribe(self, on_change: Callable[[str], None]) -> Callable[[], None]:
        """Call `on_change(model)` whenever that model's traffic or revisions change; returns what ends that."""
        return self._catalog.subscribe(on_change)

    def _watch(self, model: str) -> None:
        """End the canary if a guardrail says so."""
        with self._catalog.lock:
            state = self._catalog.models[model]
            trial, etag = state.trial, state.traffic.etag
            if trial is None:
                return
            stable = self._catalog.resident(state.traffic.stable)
        why = state.verdict(trial, stable)
        if why is None:
            return
        with self._catalog.lock:
            if state.traffic.etag != etag:
                return
            reason = f"guardrail ended canary {state.traffic.canary[:SHORT]}: {why}"
            self._catalog.take(state, without_canary(state.traffic, reason))
        log.warning("model %r: %s", model, reason)
        self._catalog.tell(model)

    def _noter(self, shadow: Resident) -> Callable[[float], None]:
        def note(distance: float) -> None:
            with self._catalog.lock:
                shadow.distance.add(distance)

        return note
