"""What a server does between calls: forget silent sessions, tell robots about revisions and load."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque

from policy_api import policy_pb2 as pb
from policy_api import serde

from policy_server.events import EventBus
from policy_server.seam import Hub
from policy_server.served import ServedRevision
from policy_server.sessions import Session, SessionTable

log = logging.getLogger(__name__)

_PERIOD_S = 1.0


class Upkeep:
    """Keeps sessions and watchers up to date. `tick` takes the time; the thread that calls it reads the clock."""

    def __init__(self, hub: Hub, sessions: SessionTable, events: EventBus) -> None:
        self._hub = hub
        self._sessions = sessions
        self._events = events
        self._changed_models: deque[str] = deque()
        self._wake = threading.Event()
        self._stopping = False
        self._busy: dict[ServedRevision, tuple[int, int]] = {}  # (time, busy time) at the last tick
        self._unsubscribe = hub.subscribe(self._on_change)
        self._thread = threading.Thread(target=self._run, name="upkeep", daemon=True)

    def start(self) -> None:
        """Tick once a second, and tell about revisions when they change."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._unsubscribe()
        self._stopping = True
        self._wake.set()

    def tick(self, now_ns: int) -> None:
        """What is due once a second."""
        self.forget_silent(now_ns)
        self._tell_load(now_ns)

    def tell_changes(self) -> None:
        """Tell about the models whose traffic has changed."""
        while self._changed_models:
            self._tell_revisions(self._changed_models.popleft())

    def forget_silent(self, now_ns: int) -> None:
        """End the sessions whose lease is over."""
        for session in self._sessions.all(lambda s: s.expires_ns <= now_ns):
            self.end(session, f"the session was silent for more than {session.lease_ns / 1e9:g} s")

    def end(self, session: Session, reason: str, outcome: str = "") -> None:
        """End a session once: give its place back, tell whoever waits for it or watches it."""
        if self._sessions.remove(session, reason):
            self._hub.release(session.placement, outcome)
            self._events.end(session.session_id, reason)
            log.info("session %s of %r ended: %s", session.session_id, session.robot_id, reason)

    def _on_change(self, model: str) -> None:
        self._changed_models.append(model)
        self._wake.set()

    def _tell_revisions(self, model: str) -> None:
        """End sessions whose revision has gone; tell the others what their next reset will give, if that is new."""
        offered = {spec.model: (spec, revision, prefix) for spec, revision, prefix in self._hub.contracts()}.get(model)
        for session in self._sessions.all(lambda s: s.placement.served.spec.model == model):
            served = session.placement.served
            if served.closed:
                self.end(session, f"revision {served.revision[:12]} was unloaded")
            elif offered is not None and not session.revision and offered[1] != served.revision:
                event = pb.SessionEvent(new_revision=serde.spec_to_proto(*offered))
                self._events.publish(session.session_id, event)

    def _tell_load(self, now_ns: int) -> None:
        watched = set(self._events.watched())
        sessions = self._sessions.all(lambda s: s.session_id in watched)
        revisions = {session.placement.served for session in sessions}
        loads = {served: self._load(served, now_ns) for served in revisions}
        self._busy = {served: self._busy[served] for served in revisions}
        for session in sessions:
            load = loads.get(session.placement.served)
            if load is not None:
                self._events.publish(session.session_id, pb.SessionEvent(load=load))

    def _load(self, served: ServedRevision, now_ns: int) -> pb.Load | None:
        """The load since the last tick; None at the first one."""
        stats = served.stats.snapshot()
        before = self._busy.get(served)
        self._busy[served] = now_ns, stats.busy_ns
        if before is None:
            return None
        return pb.Load(
            busy=min(1.0, (stats.busy_ns - before[1]) / max(1, now_ns - before[0])),
            waiting=served.waiting,
            p95_infer_us=stats.p95_infer_ns // 1000,
        )

    def _run(self) -> None:
        ticked_ns = time.monotonic_ns()
        while not self._stopping:
            self._wake.wait(max(0.0, _PERIOD_S - (time.monotonic_ns() - ticked_ns) * 1e-9))
            self._wake.clear()
            now_ns = time.monotonic_ns()
            try:
                self.tell_changes()
                if now_ns - ticked_ns >= _PERIOD_S * 1e9:
                    ticked_ns = now_ns
                    self.tick(now_ns)
            except Exception:  # the next second may be better, and sessions must not live for ever
                log.exception("upkeep failed")
