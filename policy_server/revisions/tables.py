"""Revisions and traffic for a terminal."""

from collections.abc import Sequence

from policy_api import policy_pb2 as pb
from rich.table import Table
from rich.text import Text

_SHORT = 12
_COLUMNS = ("revision", "slot", "sessions", "MB", "answers", "late", "bad", "clipped", "success", "distance", "p95 ms")


def revision_table(model: str, revisions: Sequence[pb.RevisionStatus]) -> Table:
    """One row a revision of a model; "distance" is a shadow's from what was answered."""
    table = Table(title=Text(f"Model {model}"), title_justify="left")
    for name in _COLUMNS:
        table.add_column(name, justify="left" if name in ("revision", "slot") else "right")
    for status in revisions:
        episodes = status.successes + status.failures
        table.add_row(
            status.spec.revision[:_SHORT],
            status.slot,
            str(status.sessions),
            f"{status.bytes / 1e6:.1f}",
            str(status.answers),
            str(status.deadline_misses),
            str(status.bad_answers),
            f"{status.clipped:.1%}",
            f"{status.successes}/{episodes}" if episodes else "-",
            f"{status.shadow_distance:.2%}" if status.shadow_distance else "-",
            f"{status.p95_infer_us / 1000:.1f}",
        )
    return table


def traffic_text(traffic: pb.Traffic) -> str:
    """Who answers, in a line, and why."""
    parts = [f"stable {traffic.stable[:_SHORT]}"]
    if traffic.canary:
        parts.append(f"canary {traffic.canary[:_SHORT]} for {traffic.canary_fraction:.0%} of the episodes")
    if traffic.shadow:
        parts.append(f"shadow {traffic.shadow[:_SHORT]} for {traffic.shadow_fraction:.0%} of the observations")
    if traffic.previous:
        parts.append(f"previous {traffic.previous[:_SHORT]}")
    return f"{traffic.model}: {', '.join(parts)}\n  since: {traffic.reason} (etag {traffic.etag})"


def guardrails_text(guardrails: pb.Guardrails) -> str:
    """What ends a canary, in a line."""
    watched = [
        f"{field.name.removeprefix('max_').replace('_', ' ')} {value:g}"
        for field, value in guardrails.ListFields()
        if field.name.startswith("max_")
    ]
    since = f"rates from {guardrails.min_answers} requests, success from {guardrails.min_episodes} episodes"
    return f"  a canary ends at: {', '.join(watched)} ({since})" if watched else "  a canary is not watched"
