"""Who is connected: sessions with a lease, an identity and the revision that answers them. Time is an argument."""

import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from policy_api.errors import PermissionDenied, ServerBusy, UnknownSession

from policy_server.observing import SessionView
from policy_server.seam import Placement, Priority
from policy_server.slots import Slot

MAX_SESSIONS = 64
MAX_SESSIONS_PER_ROBOT = 32
"""So that one robot that opens sessions and closes none does not lock out the others."""
DEFAULT_LEASE_NS = 600_000_000_000
MIN_LEASE_NS = 1_000_000_000
MAX_LEASE_NS = 3_600_000_000_000


@dataclass(eq=False)
class Session:
    """One robot's session. `identity` is the name in its certificate, None on a plaintext connection."""

    session_id: str
    robot_id: str
    identity: str | None
    priority: Priority
    revision: str
    """The one that the robot asked for; empty: as traffic says."""
    stable_only: bool
    lease_ns: int
    placement: Placement
    opened_ns: int
    expires_ns: int
    slot: Slot = field(default_factory=Slot)


class SessionTable:
    """All sessions of a server. One that is silent for longer than its lease is forgotten. Thread-safe."""

    def __init__(self, lease_ns: int = DEFAULT_LEASE_NS, prefix: str = "") -> None:
        """`lease_ns`: of sessions that ask for none. `prefix`: of every session id."""
        self._prefix = prefix
        self._lease_ns = lease_ns
        self._sessions: dict[str, Session] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._sessions)

    def open(
        self,
        robot_id: str,
        identity: str | None,
        placement: Placement,
        now_ns: int,
        *,
        priority: Priority = Priority.ROBOT,
        revision: str = "",
        stable_only: bool = False,
        lease_ns: int = 0,
    ) -> Session:
        """Open a session in epoch 1.

        A lease that is asked for is brought within MIN_LEASE_NS..MAX_LEASE_NS; 0 takes the server's.
        Raises ServerBusy if the table is full, or the robot's share of it.
        """
        granted_ns = min(max(lease_ns, MIN_LEASE_NS), MAX_LEASE_NS) if lease_ns else self._lease_ns
        session = Session(
            session_id=self._prefix + secrets.token_hex(16),
            robot_id=robot_id,
            identity=identity,
            priority=priority,
            revision=revision,
            stable_only=stable_only,
            lease_ns=granted_ns,
            placement=placement,
            opened_ns=now_ns,
            expires_ns=now_ns + granted_ns,
        )
        with self._lock:
            if len(self._sessions) >= MAX_SESSIONS:
                raise ServerBusy(f"{MAX_SESSIONS} sessions are open, which is all this server takes; close one")
            if sum(other.robot_id == robot_id for other in self._sessions.values()) >= MAX_SESSIONS_PER_ROBOT:
                raise ServerBusy(
                    f"robot {robot_id!r} has {MAX_SESSIONS_PER_ROBOT} open sessions, which is all one robot gets; "
                    "close them, or ask for short leases"
                )
            self._sessions[session.session_id] = session
        return session

    def get(self, session_id: str, identity: str | None, now_ns: int) -> Session:
        """The session, its lease renewed. UnknownSession; PermissionDenied if another robot opened it."""
        with self._lock:
            session = self._sessions.get(session_id)
            if session is None or session.expires_ns <= now_ns:
                raise _unknown(session_id)
            if session.identity != identity:
                raise PermissionDenied(
                    f"the session was opened by {session.identity!r}, your certificate says {identity!r}; open your own"
                )
            session.expires_ns = now_ns + session.lease_ns
            return session

    def move(self, session: Session, placement: Placement) -> Placement:
        """Give a session another placement and return the one before. UnknownSession if it was closed meanwhile."""
        with self._lock:
            if session.session_id not in self._sessions:
                raise _unknown(session.session_id)
            before, session.placement = session.placement, placement
            return before

    def remove(self, session: Session, reason: str) -> bool:
        """Forget a session; calls under way are told the reason. False if somebody else did it before."""
        with self._lock:
            removed = self._sessions.pop(session.session_id, None) is not None
        if removed:
            session.slot.end(reason)
        return removed

    def all(self, of: Callable[[Session], bool] = lambda session: True) -> list[Session]:
        """The sessions for which `of` is true, at this moment."""
        with self._lock:
            return [session for session in self._sessions.values() if of(session)]

    def views(self, now_ns: int) -> list[SessionView]:
        """What metrics tell of the sessions."""
        return [
            SessionView(
                robot_id=session.robot_id,
                model=session.placement.served.spec.model,
                slot=session.placement.slot,
                age_s=(now_ns - session.opened_ns) * 1e-9,
                silent_s=(now_ns - session.expires_ns + session.lease_ns) * 1e-9,
            )
            for session in self.all()
        ]


def _unknown(session_id: str) -> UnknownSession:
    return UnknownSession(
        f"session {session_id[:64]!r} is not open here (closed, silent for longer than its lease, its revision "
        "unloaded, or the server was restarted); open a new session"
    )
