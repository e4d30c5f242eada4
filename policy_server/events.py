"""What a robot should know without asking: a bounded queue of events for every session that watches."""

import threading
from collections import deque

from policy_api import policy_pb2 as pb

_MAX_QUEUED = 32  # a robot that does not read misses the oldest; only the load comes often


class Subscription:
    """One robot's queue of events."""

    def __init__(self) -> None:
        self._events: deque[pb.SessionEvent] = deque(maxlen=_MAX_QUEUED)
        self._changed = threading.Condition()
        self._has_ended = False

    def put(self, event: pb.SessionEvent) -> None:
        """Queue an event; after the end it is dropped."""
        with self._changed:
            if not self._has_ended:
                self._events.append(event)
                self._changed.notify()

    def end(self) -> None:
        """Nothing comes after what is queued."""
        with self._changed:
            self._has_ended = True
            self._changed.notify()

    def next(self) -> pb.SessionEvent | None:
        """Wait for the next event; None when there will be none."""
        with self._changed:
            self._changed.wait_for(lambda: self._events or self._has_ended)
            return self._events.popleft() if self._events else None


class EventBus:
    """Events by session. At most one watcher a session: a new one ends the one before. Thread-safe."""

    def __init__(self) -> None:
        self._subscriptions: dict[str, Subscription] = {}
        self._lock = threading.Lock()
        self._has_ended = False

    def watch(self, session_id: str) -> Subscription:
        """Begin to watch a session."""
        subscription = Subscription()
        with self._lock:
            before = self._subscriptions.pop(session_id, None)
            if self._has_ended:
                subscription.end()
            else:
                self._subscriptions[session_id] = subscription
        if before is not None:
            before.end()
        return subscription

    def leave(self, session_id: str, subscription: Subscription) -> None:
        """The watcher has gone."""
        subscription.end()
        with self._lock:
            if self._subscriptions.get(session_id) is subscription:
                del self._subscriptions[session_id]

    def watched(self) -> list[str]:
        """The sessions that somebody watches."""
        with self._lock:
            return list(self._subscriptions)

    def publish(self, session_id: str, event: pb.SessionEvent) -> None:
        """Tell whoever watches the session."""
        with self._lock:
            subscription = self._subscriptions.get(session_id)
        if subscription is not None:
            subscription.put(event)

    def end(self, session_id: str, revoked: str = "") -> None:
        """The session is over: say why, if the robot did not close it itself, and end its stream."""
        with self._lock:
            subscription = self._subscriptions.pop(session_id, None)
        if subscription is not None:
            if revoked:
                subscription.put(pb.SessionEvent(revoked=pb.Revoked(reason=revoked)))
            subscription.end()

    def drain(self, grace_ms: int) -> None:
        """The server is about to stop: tell everybody, and end all streams."""
        with self._lock:
            self._has_ended = True
            subscriptions, self._subscriptions = list(self._subscriptions.values()), {}
        for subscription in subscriptions:
            subscription.put(pb.SessionEvent(draining=pb.Draining(grace_ms=grace_ms)))
            subscription.end()
