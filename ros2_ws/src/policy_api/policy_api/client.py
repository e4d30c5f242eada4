"""The robot's side of the wire: one session with a policy server.

Every call has a deadline, and the deadline is the only detector of a server that hangs. Nothing is retried here:
a repeated observation is stale, and whoever calls knows whether to ask again, reopen or hold the arm. After a
server's restart the connection comes back by itself within half a second; its sessions are gone (`UnknownSession`).
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import TypeVar

import grpc

from policy_api import policy_pb2 as pb
from policy_api import policy_pb2_grpc, serde
from policy_api.errors import (
    ContractMismatch,
    DeadlineExceeded,
    InvalidObservation,
    PolicyApiError,
    ServerBusy,
    ServerFault,
    ServerUnavailable,
    StaleRequest,
    UnknownSession,
)
from policy_api.schema import MAX_MESSAGE_BYTES, ActionChunk, Observation, PolicySpec, ServerInfo

_CHANNEL_OPTIONS = [
    ("grpc.enable_retries", 0),
    ("grpc.enable_http_proxy", 0),
    ("grpc.use_local_subchannel_pool", 1),  # a new client does not inherit another one's back-off
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 500),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
]
_ERRORS: dict[grpc.StatusCode, type[PolicyApiError]] = {
    grpc.StatusCode.UNAVAILABLE: ServerUnavailable,
    grpc.StatusCode.CANCELLED: ServerUnavailable,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceeded,
    grpc.StatusCode.FAILED_PRECONDITION: ContractMismatch,
    grpc.StatusCode.INVALID_ARGUMENT: InvalidObservation,
    grpc.StatusCode.NOT_FOUND: UnknownSession,
    grpc.StatusCode.ABORTED: StaleRequest,
    grpc.StatusCode.RESOURCE_EXHAUSTED: ServerBusy,
}
_CLOSE_TIMEOUT_S = 0.5

Request = TypeVar("Request")
Reply = TypeVar("Reply")


@dataclass(frozen=True)
class _Session:
    session_id: str
    epoch: int
    spec: PolicySpec


class PolicyClient:
    """One robot's session. Methods may be called from several threads; use it as a context manager or `close()`."""

    def __init__(self, address: str, robot_id: str) -> None:
        """`address` is "host:port"; `robot_id` names this robot in the server's log. Connects at the first call."""
        self.address = address
        self.robot_id = robot_id
        self._channel = grpc.insecure_channel(address, options=_CHANNEL_OPTIONS)
        self._stub = policy_pb2_grpc.PolicyServiceStub(self._channel)
        self._lock = threading.Lock()
        self._session: _Session | None = None
        self._seq = 0

    def server_info(self, timeout_s: float = 5.0) -> ServerInfo:
        """What the server is and which contract it serves; opens nothing."""
        reply = self._call(self._stub.GetServerInfo, pb.GetServerInfoRequest(), timeout_s)
        return serde.server_info_from_proto(reply)

    def open_session(
        self,
        expect_spec_hash: str | None = None,
        *,
        expect_spec: PolicySpec | None = None,
        episode_id: str = "",
        timeout_s: float = 5.0,
    ) -> PolicySpec:
        """Open a session and return the contract; a session open before is closed.

        With `expect_spec_hash` the server refuses another contract; with `expect_spec` it also names the first
        field that differs. Raises ContractMismatch, ServerUnavailable, DeadlineExceeded, ServerBusy.
        """
        self._close_session()
        request = pb.OpenSessionRequest(robot_id=self.robot_id, episode_id=episode_id)
        if expect_spec_hash is not None:
            request.expect_spec_hash = expect_spec_hash
        if expect_spec is not None:
            request.expect_spec.CopyFrom(serde.spec_to_proto(expect_spec, revision=""))
        reply = self._call(self._stub.OpenSession, request, timeout_s)
        spec, _ = serde.spec_from_proto(reply.spec)
        with self._lock:
            self._session = _Session(reply.session_id, reply.epoch, spec)
        return spec

    def infer(self, observation: Observation, timeout_s: float) -> ActionChunk:
        """Ask for the actions that answer this observation, checked against the contract.

        Raises InvalidObservation before anything is sent if it does not fit; DeadlineExceeded after `timeout_s`;
        StaleRequest if the session was reset meanwhile; UnknownSession if it must be opened (again);
        ServerUnavailable, ServerBusy, ServerFault; InvalidActions if the answer breaks the contract.
        """
        with self._lock:
            session = self._open()
            self._seq += 1
            seq = self._seq
        observation.validate(session.spec)
        request = serde.observation_to_proto(observation)
        request.session_id, request.epoch, request.seq = session.session_id, session.epoch, seq
        reply = self._call(self._stub.Infer, request, timeout_s)
        with self._lock:
            current = self._session
        if current is None or (reply.session_id, reply.epoch) != (current.session_id, current.epoch):
            raise StaleRequest(f"the answer belongs to epoch {reply.epoch}, which is over; it is dropped")
        chunk = serde.chunk_from_proto(reply)
        chunk.validate(session.spec)
        return chunk

    def reset_session(self, episode_id: str = "", timeout_s: float = 5.0) -> None:
        """Begin a new episode: answers to observations sent before are dropped from now on."""
        with self._lock:
            session = self._open()
        request = pb.ResetSessionRequest(session_id=session.session_id, episode_id=episode_id)
        reply = self._call(self._stub.ResetSession, request, timeout_s)
        with self._lock:
            self._session = _Session(session.session_id, reply.epoch, session.spec)

    def close(self) -> None:
        """Close the session, if the server can be told, and the connection."""
        self._close_session()
        self._channel.close()

    def __enter__(self) -> "PolicyClient":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open(self) -> _Session:
        if self._session is None:
            raise UnknownSession("no session is open; call open_session first")
        return self._session

    def _close_session(self) -> None:
        with self._lock:
            session, self._session = self._session, None
        if session is None:
            return
        try:
            request = pb.CloseSessionRequest(session_id=session.session_id)
            self._call(self._stub.CloseSession, request, _CLOSE_TIMEOUT_S)
        except PolicyApiError:
            return  # the server forgets a silent session by itself

    def _call(self, method: Callable[..., Reply], request: Request, timeout_s: float) -> Reply:
        try:
            return method(request, timeout=timeout_s)
        except grpc.RpcError as error:
            raise self._translated(error, timeout_s) from error
        except ValueError as error:  # gRPC's answer to a call on a closed channel
            raise ServerUnavailable(f"the connection to {self.address} is closed: {error}") from error

    def _translated(self, error: grpc.RpcError, timeout_s: float) -> PolicyApiError:
        code, details = error.code(), error.details()
        kind = _ERRORS.get(code, ServerFault)
        if kind is ServerUnavailable:
            return kind(f"no policy server at {self.address} ({details}); start one: python -m policy_server")
        if kind is DeadlineExceeded:
            return kind(f"no answer from {self.address} within {timeout_s:g} s ({details})")
        if kind is UnknownSession:
            with self._lock:
                self._session = None
        return kind(details or f"{self.address} answered {code.name}")
