"""The robot's side of the wire: one session with a policy server.

Every call has a deadline, and the deadline is the only detector of a server that hangs. Nothing is retried here:
a repeated observation is stale, and whoever calls knows whether to ask again, reopen or hold the arm. After any outage
the connection comes back by itself within half a second of the server; its sessions may be gone (`UnknownSession`).
"""

import threading
import time
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import TypeVar

import grpc

from policy_api import policy_pb2 as pb
from policy_api import policy_pb2_grpc, serde
from policy_api.channel import TlsFiles, is_local, open_channel
from policy_api.errors import ContractMismatch, PolicyApiError, ServerUnavailable, StaleRequest, UnknownSession
from policy_api.events import Revoked, ServerEvent
from policy_api.refusals import refusal
from policy_api.schema import ActionChunk, Observation, PolicySpec, ServerInfo
from policy_api.sessions import OUTCOMES, PRIORITIES, Outcome, Priority, Session
from policy_api.shared_frames import SharedBytes, SharedFrameRing
from policy_api.statistics import ClientStatistics
from policy_api.watch import SessionWatch

_CLOSE_TIMEOUT_S = 0.5
_SHARED_LOOKS = 4  # observations whose frames stay in shared memory: one runs, one waits, two to spare

Request = TypeVar("Request")
Reply = TypeVar("Reply")


class PolicyClient:
    """One robot's session. Methods may be called from several threads; use it as a context manager or `close()`."""

    def __init__(
        self,
        address: str,
        robot_id: str,
        *,
        credentials: TlsFiles | None = None,
        priority: Priority = "robot",
        shared_memory: bool = False,
        on_event: Callable[[ServerEvent], None] | None = None,
    ) -> None:
        """Connects at the first call.

        Args:
            address: "host:port", or "unix:/path" of a socket on this host.
            robot_id: names this robot to the server; with `credentials` it must be the name in the certificate.
            credentials: for a server with mutual TLS.
            priority: who goes first when the policy is busy: "robot", "evaluation", "shadow".
            shared_memory: hand frames over in shared memory; the server must be on this host and run as this user.
            on_event: told what the server says of each session; called from another thread, should return soon.

        Raises ValueError for settings that make no sense, OSError if a certificate cannot be read.
        """
        if priority not in PRIORITIES:
            raise ValueError(f"priority is {priority!r}; known are {', '.join(PRIORITIES)}")
        if shared_memory and not is_local(address):
            raise ValueError(f"shared_memory needs a server on this host; {address} is not")
        self.address = address
        self.robot_id = robot_id
        self.statistics = ClientStatistics()
        self._priority: Priority = priority
        self._shared_memory = shared_memory
        self._on_event = on_event
        self._channel = open_channel(address, credentials)
        self._stub = policy_pb2_grpc.PolicyServiceStub(self._channel)
        self._lock = threading.Lock()
        self._session: Session | None = None
        self._watch: SessionWatch | None = None
        self._ring: SharedFrameRing | None = None
        self._boot_id = ""
        self._seq = 0

    @property
    def session(self) -> Session | None:
        """The session that is open, as far as the client knows."""
        with self._lock:
            return self._session

    def server_info(self, timeout_s: float = 5.0) -> ServerInfo:
        """What the server is and which contracts it serves; opens nothing."""
        reply = self._call(self._stub.GetServerInfo, pb.GetServerInfoRequest(), timeout_s)
        return serde.server_info_from_proto(reply)

    def open_session(
        self,
        expect_spec_hash: str | None = None,
        *,
        expect_spec: PolicySpec | None = None,
        model: str = "",
        revision: str = "",
        stable_only: bool = False,
        episode_id: str = "",
        timeout_s: float = 5.0,
    ) -> PolicySpec:
        """Open a session and return the contract; a session open before is closed.

        With `expect_spec_hash` the server refuses another contract; with `expect_spec` it also names the first
        field that differs. `model` may be left out where the server has one; `revision` pins weights by their hash;
        with `stable_only` the session never gets a canary.
        Raises ContractMismatch, UnknownModel, UnknownRevision, PermissionDenied, ServerUnavailable, DeadlineExceeded,
        ServerBusy.
        """
        self._close_session("")
        request = pb.OpenSessionRequest(
            robot_id=self.robot_id,
            model=model,
            revision=revision,
            stable_only=stable_only,
            episode_id=episode_id,
            priority=PRIORITIES[self._priority],
        )
        if expect_spec_hash is not None:
            request.expect_spec_hash = expect_spec_hash
        if expect_spec is not None:
            request.expect_spec.CopyFrom(serde.spec_to_proto(expect_spec, revision=""))
        reply = self._call(self._stub.OpenSession, request, timeout_s)
        with self._lock:
            session = Session.from_proto(reply, self._boot_id)
            self._session, self._boot_id = session, session.boot_id
        if self._shared_memory:
            self._renew_ring(session.spec)
        if self._on_event is not None:
            on_event = partial(self._on_server_event, session)
            self._watch = SessionWatch(self._stub, session.session_id, on_event)
        return session.spec

    def infer(self, observation: Observation, timeout_s: float) -> ActionChunk:
        """Ask for the actions that answer this observation, checked against the contract.

        Raises InvalidObservation before anything is sent if it does not fit; DeadlineExceeded after `timeout_s`;
        Superseded if a newer observation went to the server meanwhile; StaleRequest if the session was reset;
        UnknownSession if it must be opened (again); ServerUnavailable, ServerBusy, ServerFault; InvalidActions if the
        answer breaks the contract.
        """
        with self._lock:
            session = self._open()
            self._seq += 1
            seq = self._seq
            observation.validate(session.spec)
            request = serde.observation_to_proto(observation, self._share if self._ring else None)
        request.session_id, request.epoch, request.seq = session.session_id, session.epoch, seq
        sent_ns = time.monotonic_ns()
        try:
            reply = self._call(self._stub.Infer, request, timeout_s)
            chunk = self._checked(reply, observation, seq)
        except PolicyApiError as error:
            self.statistics.failed(error)
            if isinstance(error, UnknownSession):
                self._forget(session)
            raise
        self.statistics.answered(sent_ns, observation.stamp_ns, chunk.timing, time.monotonic_ns())
        return chunk

    def reset_session(
        self, episode_id: str = "", timeout_s: float = 5.0, *, outcome: Outcome = "", keep_revision: bool = False
    ) -> PolicySpec:
        """Begin a new episode: answers to observations sent before are dropped from now on.

        The session may get newer weights, unless `keep_revision`; the contract stays. `outcome` tells the server how
        the episode that ends went: "success", "failure", "discarded".
        Raises as `open_session` does; UnknownSession if the session must be opened again.
        """
        with self._lock:
            session = self._open()
        request = pb.ResetSessionRequest(
            session_id=session.session_id,
            episode_id=episode_id,
            keep_revision=keep_revision,
            outcome=_outcome(outcome),
        )
        try:
            reply = self._call(self._stub.ResetSession, request, timeout_s)
        except UnknownSession:
            self._forget(session)
            raise
        fresh = Session.from_proto(reply, session.boot_id)
        if fresh.spec.spec_hash != session.spec.spec_hash:
            self._close_session("")
            raise ContractMismatch(
                f"after the reset the server serves contract {fresh.spec.spec_hash}, the session was opened for "
                f"{session.spec.spec_hash}; open a new session"
            )
        with self._lock:
            self._session = fresh
        return fresh.spec

    def close(self, outcome: Outcome = "") -> None:
        """Close the session, if the server can be told, and the connection. `outcome` is of the last episode."""
        self._close_session(outcome)
        if self._ring is not None:
            self._ring.close()
            self._ring = None
        self._channel.close()

    def __enter__(self) -> "PolicyClient":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open(self) -> Session:
        if self._session is None:
            raise UnknownSession("no session is open; call open_session first")
        return self._session

    def _checked(self, reply: pb.ActionChunk, observation: Observation, seq: int) -> ActionChunk:
        with self._lock:
            current = self._session
        if current is None or (reply.session_id, reply.epoch) != (current.session_id, current.epoch):
            raise StaleRequest(f"the answer belongs to epoch {reply.epoch}, which is over; it is dropped")
        if (reply.obs_seq, reply.first_step) != (seq, observation.step):
            raise StaleRequest(
                f"the answer is to request {reply.obs_seq} at step {reply.first_step}; "
                f"request {seq} was of step {observation.step}"
            )
        chunk = serde.chunk_from_proto(reply)
        chunk.validate(current.spec)
        return chunk

    def _close_session(self, outcome: Outcome) -> None:
        with self._lock:
            session, self._session = self._session, None
            watch, self._watch = self._watch, None
        if watch is not None:
            watch.close()
        if session is None:
            return
        try:
            request = pb.CloseSessionRequest(session_id=session.session_id, outcome=_outcome(outcome))
            self._call(self._stub.CloseSession, request, _CLOSE_TIMEOUT_S)
        except PolicyApiError:
            return  # the server forgets a silent session by itself

    def _renew_ring(self, spec: PolicySpec) -> None:
        largest = max(camera.width * camera.height * 3 for camera in spec.cameras)
        with self._lock:
            if self._ring is not None:
                self._ring.close()
            self._ring = SharedFrameRing(_SHARED_LOOKS * len(spec.cameras), largest)

    def _share(self, data: bytes) -> SharedBytes | None:
        """Put a frame into the ring; one that is larger than its picture goes along in the message."""
        ring = self._ring
        return ring.write(data) if ring is not None and len(data) <= ring.slot_bytes else None

    def _forget(self, session: Session) -> None:
        """The server does not know this session any more."""
        with self._lock:
            if self._session is not None and self._session.session_id == session.session_id:
                self._session = None

    def _on_server_event(self, session: Session, event: ServerEvent) -> None:
        if isinstance(event, Revoked):
            self._forget(session)
        if self._on_event is not None:
            self._on_event(event)

    def _call(self, method: Callable[..., Reply], request: Request, timeout_s: float) -> Reply:
        try:
            return method(request, timeout=timeout_s)
        except grpc.RpcError as error:
            raise refusal(error, self.address, timeout_s) from error
        except ValueError as error:  # gRPC's answer to a call on a closed channel
            raise ServerUnavailable(f"the connection to {self.address} is closed: {error}") from error


def _outcome(outcome: Outcome) -> "pb.Outcome":
    if outcome not in OUTCOMES:
        raise ValueError(f"outcome is {outcome!r}; known are {', '.join(filter(None, OUTCOMES))}")
    return OUTCOMES[outcome]
