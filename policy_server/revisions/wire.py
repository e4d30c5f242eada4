"""Traffic, guardrails and progress as protobuf messages."""

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
    return pb.Traffic(
        model=traffic.model,
        stable=traffic.stable,
        canary=traffic.canary,
        canary_fraction=traffic.canary_fraction,
        shadow=traffic.shadow,
        shadow_fraction=traffic.shadow_fraction,
        previous=traffic.previous,
        etag=traffic.etag,
        reason=traffic.reason,
    )


def traffic_from_proto(message: pb.Traffic) -> Traffic:
    """Message -> traffic, not yet checked."""
    return Traffic(
        model=message.model,
        stable=message.stable,
        canary=message.canary,
        canary_fraction=message.canary_fraction,
        shadow=message.shadow,
        shadow_fraction=message.shadow_fraction,
        previous=message.previous,
        etag=message.etag,
        reason=message.reason,
    )


def guardrails_from_proto(message: pb.Guardrails) -> Guardrails:
    """Message -> guardrails; InvalidTraffic for a share outside 0..1."""
    return Guardrails(
        min_answers=message.min_answers,
        max_deadline_misses=message.max_deadline_misses,
        max_bad_answers=message.max_bad_answers,
        max_clipped=message.max_clipped,
        min_episodes=message.min_episodes,
        max_success_drop=message.max_success_drop,
    )


def guardrails_to_proto(guardrails: Guardrails) -> pb.Guardrails:
    """Guardrails -> message."""
    return pb.Guardrails(
        min_answers=guardrails.min_answers,
        max_deadline_misses=guardrails.max_deadline_misses,
        max_bad_answers=guardrails.max_bad_answers,
        max_clipped=guardrails.max_clipped,
        min_episodes=guardrails.min_episodes,
        max_success_drop=guardrails.max_success_drop,
    )


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
