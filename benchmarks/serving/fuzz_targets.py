"""The calls that are fuzzed: what a good request looks like now, and which statuses are right for a bad one."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import grpc
from google.protobuf.message import Message
from policy_api import policy_pb2 as pb
from policy_api import policy_pb2_grpc, serde
from policy_api.schema import Observation, PolicySpec

from policy_server.bench.observations import made_up

TIMEOUT_S = 20.0
"""A call that has no answer by then hangs."""

DAMAGED = "damaged"
"""Name of a checkpoint that cannot be loaded, in the folder of the server's checkpoints."""

Code = grpc.StatusCode
COMMON = {Code.OK, Code.INVALID_ARGUMENT}
OF_SESSIONS = COMMON | {Code.NOT_FOUND}


@dataclass(frozen=True)
class Target:
    """One call.

    valid: a request that the server would take now. right: statuses that an understood request may end with; one
    that is no message of `kind` must end with INVALID_ARGUMENT. meanwhile: called while a stream is open, so that it
    comes to its end. settle: called with the bytes of a good reply.
    """

    method: str
    kind: type[Message]
    valid: Callable[[], Message]
    right: frozenset[grpc.StatusCode]
    streams: bool = False
    meanwhile: Callable[[], None] | None = None
    settle: Callable[[bytes], None] | None = None


class Robots:
    """Sessions for fuzzed requests to carry. A session is used for `uses` requests, then closed."""

    def __init__(self, channel: grpc.Channel, uses: int = 25) -> None:
        self._stub = policy_pb2_grpc.PolicyServiceStub(channel)
        self._uses, self._used = uses, 0
        self._session: pb.Session | None = None
        self._seq = 0
        info = self._stub.GetServerInfo(pb.GetServerInfoRequest(), timeout=TIMEOUT_S)
        self.spec: PolicySpec
        self.spec, self.revision = serde.spec_from_proto(info.specs[0])[:2]
        self._observations: Iterator[Observation] = made_up(self.spec, seed=0)

    def session(self) -> str:
        """A session that is open, unless a fuzzed request has closed it since."""
        self._used += 1
        if self._session is None or self._used > self._uses:
            self.close()
            request = pb.OpenSessionRequest(robot_id="fuzz", lease_ms=20_000)
            self._session = self._stub.OpenSession(request, timeout=TIMEOUT_S)
            self._used, self._seq = 0, 0
        return self._session.session_id

    def close(self) -> None:
        """Close the session, if it is still open."""
        session, self._session = self._session, None
        if session is not None:
            try:
                self._stub.CloseSession(pb.CloseSessionRequest(session_id=session.session_id), timeout=TIMEOUT_S)
            except grpc.RpcError as error:
                if error.code() is not Code.NOT_FOUND:
                    raise

    def observation(self) -> pb.InferRequest:
        """The next observation of the session."""
        request = serde.observation_to_proto(next(self._observations))
        request.session_id = self.session()
        self._seq += 1
        request.epoch, request.seq = 1, self._seq
        return request

    def forget(self, session: bytes) -> None:
        """Close a session that a fuzzed request has opened."""
        request = pb.CloseSessionRequest(session_id=pb.Session.FromString(session).session_id)
        self._stub.CloseSession(request, timeout=TIMEOUT_S)

    def is_served(self) -> bool:
        """Whether a robot that does everything right gets its chunk."""
        self.close()
        try:
            reply = self._stub.Infer(self.observation(), timeout=TIMEOUT_S)
        except grpc.RpcError:
            return False
        return list(reply.actions.shape) == [self.spec.horizon, len(self.spec.action)]


def policy_targets(robots: Robots) -> list[Target]:
    """The calls of PolicyService."""
    service = "/policy_api.v1.PolicyService/"
    busy = {Code.RESOURCE_EXHAUSTED, Code.FAILED_PRECONDITION}
    return [
        Target(service + "GetServerInfo", pb.GetServerInfoRequest, pb.GetServerInfoRequest, frozenset(COMMON)),
        Target(
            service + "OpenSession",
            pb.OpenSessionRequest,
            lambda: pb.OpenSessionRequest(robot_id="fuzz", lease_ms=1000, model=robots.spec.model),
            frozenset(OF_SESSIONS | busy),
            settle=robots.forget,
        ),
        Target(service + "Infer", pb.InferRequest, robots.observation, frozenset(OF_SESSIONS | {Code.ABORTED})),
        Target(
            service + "ResetSession",
            pb.ResetSessionRequest,
            lambda: pb.ResetSessionRequest(session_id=robots.session(), episode_id="e"),
            frozenset(OF_SESSIONS),
        ),
        Target(
            service + "CloseSession",
            pb.CloseSessionRequest,
            lambda: pb.CloseSessionRequest(session_id=robots.session(), outcome=pb.SUCCESS),
            frozenset(OF_SESSIONS),
        ),
        Target(
            service + "Watch",
            pb.WatchRequest,
            lambda: pb.WatchRequest(session_id=robots.session()),
            frozenset(OF_SESSIONS),
            streams=True,
            meanwhile=robots.close,
        ),
    ]


def admin_targets(robots: Robots) -> list[Target]:
    """The calls of PolicyAdmin."""
    service = "/policy_api.v1.PolicyAdmin/"
    refused = {Code.FAILED_PRECONDITION, Code.NOT_FOUND, Code.ABORTED, Code.RESOURCE_EXHAUSTED}
    model, revision = robots.spec.model, robots.revision
    return [
        Target(
            service + "LoadRevision",
            pb.LoadRevisionRequest,
            lambda: pb.LoadRevisionRequest(checkpoint=DAMAGED),
            frozenset(COMMON | refused),
            streams=True,
        ),
        Target(
            service + "ListRevisions",
            pb.ListRevisionsRequest,
            lambda: pb.ListRevisionsRequest(model=model),
            frozenset(COMMON | refused),
        ),
        Target(
            service + "SetTraffic",
            pb.SetTrafficRequest,
            lambda: pb.SetTrafficRequest(traffic=pb.Traffic(model=model, stable=revision)),
            frozenset(COMMON | refused),
        ),
        Target(
            service + "Rollback",
            pb.RollbackRequest,
            lambda: pb.RollbackRequest(model=model),
            frozenset(COMMON | refused),
        ),
        Target(
            service + "UnloadRevision",
            pb.UnloadRevisionRequest,
            lambda: pb.UnloadRevisionRequest(revision=revision),
            frozenset(COMMON | refused),
        ),
    ]
