"""Which replica of a deployment gets a request: the one that holds its session."""

from __future__ import annotations

from ray.serve.request_router import PendingRequest, RequestRouter, RunningReplica


class SessionRouter(RequestRouter):
    """Requests that bear a replica's name as their session id go there, others to all replicas in turn.

    If that replica has gone, any other may say that it does not know the session.
    """

    def initialize_state(self, **kwargs: object) -> None:
        """Ray calls this once, with what the deployment sets for its router: nothing."""
        self._turn = 0

    async def choose_replicas(
        self, candidate_replicas: list[RunningReplica], pending_request: PendingRequest | None = None
    ) -> list[list[RunningReplica]]:
        """Groups of replicas, to be tried one after the other."""
        if pending_request is None or not candidate_replicas:
            return [candidate_replicas] if candidate_replicas else []
        pending_request.routing_context.should_backoff = True  # before they are asked again, if all are busy
        named = pending_request.metadata.session_id
        for replica in candidate_replicas:
            if replica.replica_id.unique_id == named:
                return [[replica]]
        self._turn += 1
        in_order = sorted(candidate_replicas, key=lambda replica: replica.replica_id.unique_id)
        first = self._turn % len(in_order)
        return [[replica] for replica in in_order[first:] + in_order[:first]]
