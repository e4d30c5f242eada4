"""The gRPC service for whoever looks after the server: load, list, share out the traffic, go back, unload."""

from collections.abc import Iterator

import grpc
from policy_api import policy_pb2 as pb
from policy_api import policy_pb2_grpc

from policy_server.answering import answering
from policy_server.revisions.errors import InvalidTraffic
from policy_server.revisions.jobs import LoadJobs
from policy_server.revisions.operations import Operations
from policy_server.revisions.wire import (
    guardrails_from_proto,
    guardrails_to_proto,
    progress_to_proto,
    status_to_proto,
    traffic_from_proto,
    traffic_to_proto,
)
from policy_server.security import peer_of


class PolicyAdminService(policy_pb2_grpc.PolicyAdminServicer):
    """Operations on the revisions in memory. Who may call it is decided in front of it, by `policy_server.guard`."""

    def __init__(self, operations: Operations, jobs: LoadJobs) -> None:
        self._operations = operations
        self._jobs = jobs

    def LoadRevision(  # noqa: N802 - named by the proto
        self, request: pb.LoadRevisionRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.LoadProgress]:
        """Load a checkpoint and say how far it is. It goes on when the caller has gone: see `LoadJob`."""
        with answering(context):
            for progress in self._jobs.start(request.checkpoint, request.revision).follow(context.is_active):
                yield progress_to_proto(progress)

    def ListRevisions(  # noqa: N802 - named by the proto
        self, request: pb.ListRevisionsRequest, context: grpc.ServicerContext
    ) -> pb.ListRevisionsResponse:
        """What is in memory, what it has done, and who answers which share of the episodes."""
        with answering(context):
            held = self._operations.traffic(request.model)
            return pb.ListRevisionsResponse(
                revisions=[status_to_proto(view) for view in self._operations.revisions(request.model)],
                traffic=[traffic_to_proto(traffic) for traffic, _ in held],
                guardrails=[guardrails_to_proto(guardrails) for _, guardrails in held],
            )

    def SetTraffic(  # noqa: N802 - named by the proto
        self, request: pb.SetTrafficRequest, context: grpc.ServicerContext
    ) -> pb.Traffic:
        """Change who answers. Without guardrails in the request those that hold already stay."""
        with answering(context):
            if not request.HasField("traffic"):
                raise InvalidTraffic("traffic is missing; list it, change it and send it back")
            request.traffic.reason = request.traffic.reason or f"set by {_who(context)}"
            guardrails = guardrails_from_proto(request.guardrails) if request.HasField("guardrails") else None
            return traffic_to_proto(self._operations.set_traffic(traffic_from_proto(request.traffic), guardrails))

    def Rollback(  # noqa: N802 - named by the proto
        self, request: pb.RollbackRequest, context: grpc.ServicerContext
    ) -> pb.Traffic:
        """Back to the stable revision before the present one."""
        with answering(context):
            return traffic_to_proto(self._operations.rollback(request.model, f"rolled back by {_who(context)}"))

    def UnloadRevision(  # noqa: N802 - named by the proto
        self, request: pb.UnloadRevisionRequest, context: grpc.ServicerContext
    ) -> pb.UnloadRevisionResponse:
        """Take a revision out of memory."""
        with answering(context):
            self._operations.unload(request.revision, request.force)
            return pb.UnloadRevisionResponse()


def _who(context: grpc.ServicerContext) -> str:
    peer = peer_of(context)
    return peer.name if peer is not None else "an operator"
