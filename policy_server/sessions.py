"""Who is connected: sessions with a lease, an epoch and a sequence number. Takes the time as an argument."""

import secrets
import threading
from dataclasses import dataclass

from policy_api.errors import ServerBusy, StaleRequest, UnknownSession

MAX_SESSIONS = 64


@dataclass
class Session:
    """One robot's session. `epoch` counts episodes from 1; `last_seq` is the newest request seen."""

    session_id: str
    robot_id: str
    epoch: int
    last_seq: int
    expires_ns: int


class SessionTable:
    """All sessions of a server. A session that is silent for `lease_ns` is forgotten. Thread-safe."""

    def __init__(self, lease_ns: int) -> None:
        self.lease_ns = lease_ns
        self._sessions: dict[str, Session] = {}
        self._lock = threading.Lock()

    def open(self, robot_id: str, now_ns: int) -> str:
        """Open a session in epoch 1 and return its id. ServerBusy if the table is full."""
        with self._lock:
            self._sessions = {key: s for key, s in self._sessions.items() if s.expires_ns > now_ns}
            if len(self._sessions) >= MAX_SESSIONS:
                raise ServerBusy(f"{MAX_SESSIONS} sessions are open, which is all this server takes; close one")
            session_id = secrets.token_hex(16)
            self._sessions[session_id] = Session(session_id, robot_id, 1, 0, now_ns + self.lease_ns)
            return session_id

    def accept(self, session_id: str, epoch: int, seq: int, now_ns: int) -> None:
        """Register a request and renew the lease. (epoch, seq) must rise: StaleRequest, UnknownSession."""
        with self._lock:
            session = self._live(session_id, now_ns)
            if epoch != session.epoch:
                raise StaleRequest(f"request is of epoch {epoch}, the session is in epoch {session.epoch}")
            if seq <= session.last_seq:
                raise StaleRequest(f"request {seq} came after request {session.last_seq}; send a newer observation")
            session.last_seq = seq

    def check_epoch(self, session_id: str, epoch: int, now_ns: int) -> None:
        """Raise StaleRequest if the session was reset since, UnknownSession if it was closed."""
        with self._lock:
            current = self._live(session_id, now_ns).epoch
            if current != epoch:
                raise StaleRequest(f"the session was reset to epoch {current} while epoch {epoch} was answered")

    def reset(self, session_id: str, now_ns: int) -> int:
        """Begin the next epoch and return it. UnknownSession."""
        with self._lock:
            session = self._live(session_id, now_ns)
            session.epoch += 1
            return session.epoch

    def close(self, session_id: str, now_ns: int) -> None:
        """Forget a session. UnknownSession."""
        with self._lock:
            self._live(session_id, now_ns)
            del self._sessions[session_id]

    def _live(self, session_id: str, now_ns: int) -> Session:
        session = self._sessions.get(session_id)
        if session is None or session.expires_ns <= now_ns:
            self._sessions.pop(session_id, None)
            raise UnknownSession(
                f"session {session_id!r} is not open here (closed, silent for more than "
                f"{self.lease_ns / 1e9:g} s, or the server was restarted); open a new session"
            )
        session.expires_ns = now_ns + self.lease_ns
        return session
