"""The calls of PolicyService with policies on Ray Serve: every call goes to the replica that holds its session."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from google.protobuf.message import Message
from policy_api import policy_pb2 as pb
from policy_api.errors import DeadlineExceeded, ServerUnavailable, UnknownModel, UnknownSession
from policy_api.schema import PolicySpec
from ray.exceptions import RayActorError, TaskCancelledError
from ray.serve.exceptions import DeploymentUnavailableError, RequestCancelledError
from ray.serve.handle import DeploymentHandle, DeploymentResponse, DeploymentResponseGenerator

from policy_server.front import Caller, Front
from policy_server.ray_serve.replica import PolicyReplica
from policy_server.ray_serve.wire import RemoteCaller, Reply

log = logging.getLogger(__name__)

_LOOK_S = 0.1  # how often a waiting call looks whether anybody still waits for it
_OPEN_ATTEMPTS = 3
_CANCELLED = (RequestCancelledError, TaskCancelledError, StopIteration)


@dataclass(frozen=True)
class Deployed:
    """A model on Ray Serve: the name of its deployment, how to reach it, and what its replicas say of themselves."""

    name: str
    handle: DeploymentHandle[PolicyReplica]
    info: pb.ServerInfo
    spec: PolicySpec
    revision: str
    prefix_steps: int


class ReplicaGoneError(Exception):
    """The replica died before it answered."""


class RemoteWatch:
    """A session's events from another process."""

    def __init__(self, replies: DeploymentResponseGenerator[Reply]) -> None:
        self._replies = replies

    def end(self) -> None:
        """Nothing comes after this."""
        self._replies.cancel()

    def events(self) -> Iterator[pb.SessionEvent]:
        """What the replica says, until the session ends, it dies, or `end` is called."""
        try:
            for reply in self._replies:
                yield pb.SessionEvent.FromString(reply.value())
        except _CANCELLED:
            return
        except RayActorError:
            reason = "the replica that held the session has died; open a new session"
            yield pb.SessionEvent(revoked=pb.Revoked(reason=reason))


class RayCalls(Front):
    """What each call of PolicyService does when the policies are on Ray Serve."""

    def __init__(self, models: Sequence[Deployed]) -> None:
        self._by_name = {deployed.name: deployed for deployed in models}
        self._by_model = {deployed.spec.model: deployed for deployed in models}
        self._boot_id = uuid.uuid4().hex
        self._draining_ms = 0
        self._watches: set[RemoteWatch] = set()

    def contracts(self) -> list[tuple[PolicySpec, str, int]]:
        """(contract, revision, prefix steps) of every model."""
        return [(deployed.spec, deployed.revision, deployed.prefix_steps) for deployed in self._by_name.values()]

    def subscribe(self, on_change: Callable[[str], None]) -> Callable[[], None]:
        """Nothing ever changes here."""
        return lambda: None

    def info(self) -> pb.ServerInfo:
        """What this server is and which contracts it serves."""
        infos = [deployed.info for deployed in self._by_name.values()]
        merged = pb.ServerInfo()
        merged.CopyFrom(infos[0])
        for other in infos[1:]:
            merged.specs.extend(other.specs)
        merged.boot_id = self._boot_id
        return merged

    def open_session(self, request: pb.OpenSessionRequest, caller: Caller) -> pb.Session:
        """Open a session with the next replica in turn of the model's."""
        if self._draining_ms:
            raise ServerUnavailable("the server is about to stop; connect again in some seconds")
        deployed = self._model(request.model)
        for _ in range(_OPEN_ATTEMPTS):
            try:
                return self._session(self._ask(deployed, "", "open_session", request, caller))
            except ReplicaGoneError:  # noqa: PERF203 - it is rare
                log.warning("a replica of %s died while it opened a session; trying the next", deployed.name)
        raise ServerUnavailable(f"replicas of model {deployed.spec.model!r} die one after the other; see their logs")

    def infer(self, message: pb.InferRequest, caller: Caller) -> pb.ActionChunk:
        """Answer one observation."""
        return pb.ActionChunk.FromString(self._routed("infer", message, message.session_id, caller))

    def reset_session(self, request: pb.ResetSessionRequest, caller: Caller) -> pb.Session:
        """Begin the next epoch."""
        return self._session(self._routed("reset_session", request, request.session_id, caller))

    def close_session(self, request: pb.CloseSessionRequest, caller: Caller) -> pb.CloseSessionResponse:
        """Forget a session."""
        self._routed("close_session", request, request.session_id, caller)
        return pb.CloseSessionResponse()

    def watch(self, request: pb.WatchRequest, caller: Caller) -> tuple[RemoteWatch, Iterator[pb.SessionEvent]]:
        """What happens to a session, until it ends; the first can be ended from outside."""
        deployed, replica = self._route(request.session_id)
        handle = deployed.handle.options(method_name="watch", stream=True, session_id=replica)
        remote = RemoteCaller.of(caller, time.monotonic_ns())
        replies = handle.remote(request.SerializeToString(), remote)
        assert isinstance(replies, DeploymentResponseGenerator)
        watch = RemoteWatch(replies)
        return watch, self._follow(watch)

    def drain(self, grace_ns: int) -> None:
        """Take no more sessions and tell those that watch that the server stops after `grace_ns`."""
        self._draining_ms = max(1, grace_ns // 1_000_000)
        for watch in list(self._watches):
            watch.end()

    def close(self) -> None:
        """The replicas belong to whoever deployed them."""

    def _follow(self, watch: RemoteWatch) -> Iterator[pb.SessionEvent]:
        self._watches.add(watch)
        try:
            yield from watch.events()
            if self._draining_ms:
                yield pb.SessionEvent(draining=pb.Draining(grace_ms=self._draining_ms))
        finally:
            self._watches.discard(watch)
            watch.end()

    def _model(self, model: str) -> Deployed:
        if not model and len(self._by_model) == 1:
            return next(iter(self._by_model.values()))
        deployed = self._by_model.get(model)
        if deployed is None:
            raise UnknownModel(f"model {model!r} is not served here; name one of: {', '.join(sorted(self._by_model))}")
        return deployed

    def _route(self, session_id: str) -> tuple[Deployed, str]:
        """Where a session lives: its deployment and the name of its replica. UnknownSession."""
        name, _, rest = session_id.partition(".")
        replica, _, _ = rest.partition(".")
        deployed = self._by_name.get(name)
        if deployed is None or not replica:
            raise UnknownSession(f"session {session_id[:64]!r} is none of this server's; open a new session")
        return deployed, replica

    def _routed(self, method: str, message: Message, session_id: str, caller: Caller) -> bytes:
        deployed, replica = self._route(session_id)
        try:
            return self._ask(deployed, replica, method, message, caller)
        except ReplicaGoneError:
            raise UnknownSession(
                f"the replica that held session {session_id[:64]!r} has died; open a new session"
            ) from None

    def _ask(self, deployed: Deployed, replica: str, method: str, message: Message, caller: Caller) -> bytes:
        """The answer of a replica, named or the next in turn. Raises what the replica did, or ReplicaGoneError."""
        handle = deployed.handle.options(method_name="call", session_id=replica)
        remote = RemoteCaller.of(caller, time.monotonic_ns())
        response = handle.remote(method, message.SerializeToString(), remote)
        assert isinstance(response, DeploymentResponse)
        while True:
            left_s = (caller.deadline_ns - time.monotonic_ns()) * 1e-9
            try:
                return response.result(timeout_s=max(0.0, min(left_s, _LOOK_S))).value()
            except RayActorError:
                raise ReplicaGoneError from None
            except DeploymentUnavailableError as error:
                raise ServerUnavailable(f"model {deployed.spec.model!r} could not be started; see its log") from error
            except TimeoutError:
                if left_s > 0 and caller.wanted():
                    continue
                response.cancel()
                raise DeadlineExceeded("the replica had not answered when the call ended") from None

    def _session(self, data: bytes) -> pb.Session:
        session = pb.Session.FromString(data)
        session.boot_id = self._boot_id
        return session
