"""What a client knows of its session."""

from dataclasses import dataclass
from typing import Literal

from policy_api import policy_pb2 as pb
from policy_api import serde
from policy_api.schema import PolicySpec

Priority = Literal["robot", "evaluation", "shadow"]
"""Who is served first when the policy is busy, in this order."""
Outcome = Literal["", "success", "failure", "discarded"]
"""How an episode went; empty: nobody judged it."""

PRIORITIES: dict[Priority, pb.Priority] = {"robot": pb.ROBOT, "evaluation": pb.EVALUATION, "shadow": pb.SHADOW}
OUTCOMES: dict[Outcome, pb.Outcome] = {
    "": pb.OUTCOME_UNSPECIFIED,
    "success": pb.SUCCESS,
    "failure": pb.FAILURE,
    "discarded": pb.DISCARDED,
}


@dataclass(frozen=True)
class Session:
    """One robot's session, as the server described it at the last open or reset.

    epoch: counts episodes from 1. revision: content hash of the weights that answer. slot: "stable" or "canary".
    prefix_steps: committed steps that the weights can be conditioned on, 0 for none. lease_ms: how long the session
    may be silent. p95_infer_us: 95 % of the revision's answers took less, 0 if it has not said yet.
    boot_id: of the server's process. server_restarted: it is another one than in the client's session before.
    """

    session_id: str
    epoch: int
    spec: PolicySpec
    revision: str
    prefix_steps: int
    slot: str
    lease_ms: int
    p95_infer_us: int
    boot_id: str
    server_restarted: bool

    @classmethod
    def from_proto(cls, reply: pb.Session, boot_id_before: str) -> "Session":
        """Read a reply; `boot_id_before` is empty in a client's first session. Raises as `spec_from_proto` does."""
        spec, revision = serde.spec_from_proto(reply.spec)
        return cls(
            session_id=reply.session_id,
            epoch=reply.epoch,
            spec=spec,
            revision=revision,
            prefix_steps=reply.spec.prefix_steps,
            slot=reply.slot,
            lease_ms=reply.lease_ms,
            p95_infer_us=reply.p95_infer_us,
            boot_id=reply.boot_id,
            server_restarted=bool(boot_id_before) and reply.boot_id != boot_id_before,
        )
