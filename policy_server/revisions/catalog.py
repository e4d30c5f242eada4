"""What is in memory and who answers which model: the state that hub, operators and loading share, and its lock."""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Callable

from policy_api.errors import UnknownModel
from policy_api.schema import PolicySpec, first_difference

from policy_server.policy import Policy
from policy_server.revisions.errors import CheckpointRefused
from policy_server.revisions.guardrails import Guardrails
from policy_server.revisions.store import Resident, RevisionStore
from policy_server.revisions.traffic import IDLE, SHORT, Traffic, described
from policy_server.revisions.trial import ModelState, Trial
from policy_server.served import ServedRevision

log = logging.getLogger(__name__)

_ETAGS = 1 << 30  # of a server that was started again, none means what it did before


class Catalog:
    """Models and their revisions. Thread-safe, but for what says that the caller holds `lock`."""

    def __init__(self, max_bytes: int) -> None:
        """`max_bytes`: weights that may be in memory at once."""
        self.lock = threading.Lock()
        self.store = RevisionStore(max_bytes)
        self.models: dict[str, ModelState] = {}
        self._listeners: dict[object, Callable[[str], None]] = {}

    def loaded(self, revision: str, model: str) -> ServedRevision | None:
        """A revision of the model, if it is in memory and can answer."""
        with self.lock:
            entry = self.store.of_model(model).get(revision)
            return entry.served if entry is not None else None

    def reserve(self, spec: PolicySpec, revision: str, size_bytes: int) -> None:
        """Set memory aside for a revision that is about to be loaded.

        Raises MemoryFull, LoadInProgress; CheckpointRefused if its contract is not that of the model's stable revision.
        """
        with self.lock:
            state = self.models.get(spec.model)
            if state is not None:
                stable = self.resident(state.traffic.stable).served.spec
                if (difference := first_difference(stable, spec)) is not None:
                    raise CheckpointRefused(
                        f"its contract differs from that of the stable revision of model {spec.model!r} at {difference}"
                        " (stable against this one), so robots could not change over; give the model another name, or "
                        "train for the same contract"
                    )
            self.store.reserve(revision, size_bytes, self._is_disposable)

    def give_back(self, revision: str) -> None:
        """A revision whose memory was reserved is not loaded after all."""
        with self.lock:
            self.store.give_back(revision)

    def admit(self, served: ServedRevision) -> None:
        """A revision whose memory was reserved can answer. The first one of a model becomes stable."""
        model = served.spec.model
        with self.lock:
            self.store.admit(served)
            if model not in self.models:
                first = Traffic(model, served.revision, etag=1 + secrets.randbelow(_ETAGS), reason="the first revision")
                self.models[model] = ModelState(first, Guardrails())
        log.info("revision %s of model %r loaded", served.revision[:SHORT], model)
        self.tell(model)

    def add(self, policy: Policy, size_bytes: int) -> None:
        """Warm a policy up and admit it: for those that are there when the server starts.

        Raises ServerFault or InvalidSpec if it cannot act; and see `reserve`.
        """
        self.reserve(policy.spec, policy.revision, size_bytes)
        served: ServedRevision | None = None
        try:
            served = ServedRevision(policy)
            served.warm_up()
        except BaseException:  # memory is given back whatever happened, Ctrl-C too
            self.give_back(policy.revision)
            if served is not None:
                served.close()
            raise
        self.admit(served)

    def close(self) -> None:
        """Give all policies back."""
        with self.lock:
            entries = self.store.ready()
        for entry in entries:
            entry.served.close()

    def subscribe(self, on_change: Callable[[str], None]) -> Callable[[], None]:
        """Call `on_change(model)`, without the lock, when that model's traffic or revisions change; returns the end."""
        key = object()
        with self.lock:
            self._listeners[key] = on_change

        def end() -> None:
            with self.lock:
                self._listeners.pop(key, None)

        return end

    def tell(self, model: str) -> None:
        """Tell whoever subscribed that something of the model has changed."""
        with self.lock:
            listeners = list(self._listeners.values())
        for listener in listeners:
            listener(model)

    def state(self, model: str) -> ModelState:
        """A model; empty: the only one. UnknownModel. The caller holds the lock."""
        if not model and len(self.models) == 1:
            return next(iter(self.models.values()))
        if model not in self.models:
            known = ", ".join(sorted(self.models)) or "none yet; load a checkpoint"
            raise UnknownModel(f"model {model[:64]!r} is not served here; name one of: {known}")
        return self.models[model]

    def resident(self, revision: str) -> Resident:
        """A revision that traffic names. The caller holds the lock."""
        entry = self.store.find(revision)
        assert entry is not None, "traffic names revisions in memory alone"
        return entry

    def take(self, state: ModelState, after: Traffic) -> None:
        """Let new traffic hold; a new canary begins its trial. The caller holds the lock, and calls `tell` after it."""
        if not after.canary:
            state.trial = None
        elif after.canary != state.traffic.canary:
            state.trial = Trial.of(self.resident(after.canary))
        state.traffic = after
        log.info("traffic of model %r: %s (%s)", after.model, described(after), after.reason)

    def _is_disposable(self, entry: Resident) -> bool:
        traffic = self.models[entry.served.spec.model].traffic
        return not entry.draining and not entry.sessions and traffic.slot_of(entry.served.revision) == IDLE
