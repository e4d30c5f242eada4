"""Who answers the episodes of one model: pure decisions, no clock and no threads.

A robot's episode belongs to one revision from its first chunk to its last, so the choice is made once an episode, by
a hash of model, robot and episode: the same episode, asked again after a lost connection, gets the same answer, and an
episode that is the canary's at a small fraction stays so when the fraction grows.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection
from dataclasses import dataclass, replace

from policy_server.revisions.errors import InvalidTraffic, TrafficChanged, UnknownRevision

STABLE, CANARY, SHADOW, PREVIOUS, IDLE = "stable", "canary", "shadow", "previous", "idle"
SHORT = 12
"""Digits of a revision in texts for people."""
MAX_REASON = 200
"""Characters of a reason."""


@dataclass(frozen=True)
class Traffic:
    """Which revision answers which share of a model's episodes.

    `canary_fraction` is a share of the episodes, `shadow_fraction` of the observations. `etag` changes with every
    change; `reason` says who or what made the last one. An empty name means none.
    """

    model: str
    stable: str
    canary: str = ""
    canary_fraction: float = 0.0
    shadow: str = ""
    shadow_fraction: float = 0.0
    previous: str = ""
    etag: int = 1
    reason: str = ""

    def slot_of(self, revision: str) -> str:
        """What a revision is for: "stable", "canary", "shadow", "previous" or "idle"."""
        slots = {self.previous: PREVIOUS, self.shadow: SHADOW, self.canary: CANARY, self.stable: STABLE}
        return slots.get(revision, IDLE)

    def chosen(self, robot_id: str, episode_id: str, stable_only: bool) -> tuple[str, str]:
        """Revision and slot ("stable" or "canary") of one episode.

        Episodes without a name are one episode: such a robot meets the canary always or never.
        """
        if self.canary and not stable_only and share_of(self.model, robot_id, episode_id) < self.canary_fraction:
            return self.canary, CANARY
        return self.stable, STABLE


def share_of(*names: str) -> float:
    """A number in [0, 1) that names decide: evenly spread over different names, always the same for the same ones."""
    text = "".join(f"{len(name)}:{name}" for name in names)  # lengths keep ("a", "bc") and ("ab", "c") apart
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big") / 2**48


def changed(present: Traffic, wanted: Traffic, resident: Collection[str]) -> Traffic:
    """What `present` becomes when somebody asks for `wanted`.

    Where the stable revision changes, the one before becomes `previous`; `wanted.previous` is not looked at.

    Args:
        present: what holds now.
        wanted: what is asked for; `etag` names the state that this was decided on, 0 for any.
        resident: revisions of the model that are in memory and could answer.

    Raises:
        TrafficChanged: somebody else changed it since.
        UnknownRevision: a revision that is not in memory.
        InvalidTraffic: what is asked for contradicts itself.
    """
    if wanted.etag not in (0, present.etag):
        raise TrafficChanged(
            f"traffic of {present.model!r} has changed since: this change is based on etag {wanted.etag}, the present "
            f"one is {present.etag} ({described(present)}); list it, decide again and send that etag"
        )
    if not wanted.stable:
        raise InvalidTraffic("stable is empty; some revision must answer. To stop serving a model, stop the server")
    for name in (wanted.stable, wanted.canary, wanted.shadow):
        if name and name not in resident:
            raise unknown_revision(name, resident, present.model)
    _check_share("canary", wanted.canary, wanted.canary_fraction, wanted.stable)
    _check_share("shadow", wanted.shadow, wanted.shadow_fraction, wanted.stable)
    if len(wanted.reason) > MAX_REASON or not wanted.reason.isprintable():
        raise InvalidTraffic(f"reason is not one printable line of at most {MAX_REASON} characters; shorten it")
    if wanted.shadow and wanted.shadow == wanted.canary:
        raise InvalidTraffic(f"revision {wanted.shadow[:SHORT]} cannot be canary and shadow at once; choose one")
    return replace(
        wanted,
        model=present.model,
        previous=present.previous if wanted.stable == present.stable else present.stable,
        etag=present.etag + 1,
    )


def rolled_back(present: Traffic, reason: str) -> Traffic:
    """Every episode back to the revision that was stable before; a canary ends, and nothing is previous any more.

    So a second rollback does not bring the bad one back.

    Raises:
        InvalidTraffic: there is no revision before.
    """
    if not present.previous:
        raise InvalidTraffic(
            f"model {present.model!r} has no previous stable revision to go back to ({described(present)}); "
            "to end a canary, or to choose any revision in memory, set its traffic"
        )
    kept = present.shadow != present.previous
    return Traffic(
        present.model,
        stable=present.previous,
        shadow=present.shadow if kept else "",
        shadow_fraction=present.shadow_fraction if kept else 0.0,
        etag=present.etag + 1,
        reason=reason,
    )


def without_canary(present: Traffic, reason: str) -> Traffic:
    """Every episode that begins from now on is the stable revision's."""
    return replace(present, canary="", canary_fraction=0.0, etag=present.etag + 1, reason=reason)


def without_previous(present: Traffic, reason: str) -> Traffic:
    """There is nothing to roll back to any more."""
    return replace(present, previous="", etag=present.etag + 1, reason=reason)


def described(traffic: Traffic) -> str:
    """One line for people."""
    parts = [f"stable {traffic.stable[:SHORT]}"]
    if traffic.canary:
        parts.append(f"canary {traffic.canary[:SHORT]} with {traffic.canary_fraction:.0%} of the episodes")
    if traffic.shadow:
        parts.append(f"shadow {traffic.shadow[:SHORT]} with {traffic.shadow_fraction:.0%} of the observations")
    if traffic.previous:
        parts.append(f"previous {traffic.previous[:SHORT]}")
    return ", ".join(parts)


def unknown_revision(name: str, resident: Collection[str], model: str) -> UnknownRevision:
    """The refusal of a revision that is not in memory; names those that are."""
    known = ", ".join(sorted(revision[:SHORT] for revision in resident)) or "none"
    return UnknownRevision(
        f"revision {name[:64]!r} of model {model!r} is not in memory; loaded are {known}. Load it first, and "
        "name it by all of its digits"
    )


def _check_share(slot: str, revision: str, fraction: float, stable: str) -> None:
    if not (math.isfinite(fraction) and 0.0 <= fraction <= 1.0):
        raise InvalidTraffic(f"{slot}_fraction is {fraction:g}; it is a share, from 0 to 1")
    if not revision and fraction:
        raise InvalidTraffic(
            f"{slot}_fraction is {fraction:g} but no {slot} is named; name its revision, or leave it 0"
        )
    if revision and revision == stable:
        raise InvalidTraffic(f"revision {revision[:SHORT]} cannot be stable and {slot} at once; leave {slot} empty")
