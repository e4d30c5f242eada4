"""Traffic, guardrails and progress as protobuf messages."""

from dataclasses import asdict, fields

from policy_api import policy_pb2 as pb
from policy_api import serde

from policy_server.revisions.guardrails import Guardrails
from policy_server.revisions.operations import RevisionView
from policy_server.revisions.progress import Phase, Progress
from policy_server.revisions.traffic import Traffic

_PHASES = {
    Phase.VERIFYING: pb.VERIFYING,
    Phase.LOADING: pb.LOADING,
    Phase.WARMING_UP: pb.WARMING_UP,
    Phase.GOLDEN: pb.GOLDEN,
    Phase.ADMITTED: pb.ADMITTED,
}


def traffic_to_proto(traffic: Traffic) -> pb.Traffic:
    """Traffic -> message."""
    return pb.Traffic(**asdict(traffic))


def traffic_from_proto(message: pb.Traffic) -> Traffic:
    """Message -> traffic, not yet checked."""
    return Traffic(**{field.name: getattr(message, field.name) for field in fields(Traffic)})


def guardrails_from_proto(message: pb.Guardrails) -> Guardrails:
    """Message -> guardrails; InvalidTraffic for a share outside 0..1."""
    return Guardrails(**{field.name: getattr(message, field.name) for field in fields(Guardrails)})


def guardrails_to_proto(guardrails: Guardrails) -> pb.Guardrails:
    """Guardrails -> message."""
    return pb.Guardrails(**asdict(guardrails))


def status_to_proto(view: RevisionView) -> pb.RevisionStatus:
    """A revision in memory -> message."""
    served, stats = view.served, view.stats
    return pb.RevisionStatus(
        spec=serde.spec_to_proto(served.spec, served.revision, served.prefix_steps),
        slot=view.slot,
        sessions=view.sessions,
        bytes=view.size_bytes,
        answers=stats.answers,
        deadline_misses=stats.deadline_misses,
        bad_answers=stats.bad_answers,
        clipped=stats.clipped,
        successes=view.successes,
        failures=view.failures,
        shadow_distance=view.shadow_distance,
        p95_infer_us=stats.p95_infer_ns // 1000,
    )


def progress_to_proto(progress: Progress) -> pb.LoadProgress:
    """Progress of a load -> message."""
    message = pb.LoadProgress(
        phase=_PHASES[progress.phase], fraction=progress.fraction, golden_error=progress.golden_error
    )
    if progress.spec is not None:
        message.spec.CopyFrom(serde.spec_to_proto(progress.spec, progress.revision, progress.prefix_steps))
    return message
