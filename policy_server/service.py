"""The gRPC service: every call of a Front behind its name in the proto."""

import time
from collections.abc import Callable, Iterator

import grpc
from policy_api import policy_pb2 as pb
from policy_api import policy_pb2_grpc
from policy_api.shared_frames import is_local_peer

from policy_server.answering import answering
from policy_server.calls import MAX_WAIT_NS
from policy_server.front import Caller, Front
from policy_server.tracing import TRACE_HEADERS

Identity = Callable[[grpc.ServicerContext], str | None]
"""Name in the caller's certificate; None where there is none."""


def nobody(context: grpc.ServicerContext) -> None:
    """The identity of callers on a plaintext connection."""


class PolicyService(policy_pb2_grpc.PolicyServiceServicer):
    """Turns contexts into callers and errors into statuses."""

    def __init__(self, calls: Front, identity: Identity = nobody) -> None:
        self._calls = calls
        self._identity = identity

    def GetServerInfo(  # noqa: N802 - named by the proto
        self, request: pb.GetServerInfoRequest, context: grpc.ServicerContext
    ) -> pb.ServerInfo:
        """What this server is and which contracts it serves."""
        with answering(context):
            return self._calls.info()

    def OpenSession(  # noqa: N802 - named by the proto
        self, request: pb.OpenSessionRequest, context: grpc.ServicerContext
    ) -> pb.Session:
        """Open a session if the caller's contract is ours."""
        with answering(context):
            return self._calls.open_session(request, self._caller(context))

    def Infer(  # noqa: N802 - named by the proto
        self, request: pb.InferRequest, context: grpc.ServicerContext
    ) -> pb.ActionChunk:
        """Answer one observation."""
        with answering(context):
            return self._calls.infer(request, self._caller(context))

    def ResetSession(  # noqa: N802 - named by the proto
        self, request: pb.ResetSessionRequest, context: grpc.ServicerContext
    ) -> pb.Session:
        """Begin the next epoch."""
        with answering(context):
            return self._calls.reset_session(request, self._caller(context))

    def CloseSession(  # noqa: N802 - named by the proto
        self, request: pb.CloseSessionRequest, context: grpc.ServicerContext
    ) -> pb.CloseSessionResponse:
        """Forget a session."""
        with answering(context):
            return self._calls.close_session(request, self._caller(context))

    def Watch(  # noqa: N802 - named by the proto
        self, request: pb.WatchRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.SessionEvent]:
        """What happens to a session, until it or the server ends."""
        with answering(context):
            subscription, events = self._calls.watch(request, self._caller(context))
            if not context.add_callback(subscription.end):
                subscription.end()  # the caller has gone already
            yield from events

    def _caller(self, context: grpc.ServicerContext) -> Caller:
        now_ns = time.monotonic_ns()
        left_s = context.time_remaining()
        wait_ns = MAX_WAIT_NS if left_s is None else min(round(left_s * 1e9), MAX_WAIT_NS)
        trace = {key: str(value) for key, value in context.invocation_metadata() if key in TRACE_HEADERS}
        local = is_local_peer(context.peer())
        return Caller(self._identity(context), now_ns, now_ns + wait_ns, context.is_active, trace, local)
