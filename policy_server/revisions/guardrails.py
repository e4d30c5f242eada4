"""When a canary has to end: pure decisions on counts.

Rates are compared as they are, once there are enough answers to speak of a rate. Success is a matter of few episodes,
so it takes evidence: the canary ends when the lower end of a one-sided 95 % interval of (success of stable - success
of canary) lies above the allowed drop. The interval is Newcombe's, of two Wilson scores (R. G. Newcombe, "Interval
estimation for the difference between independent proportions", Statistics in Medicine 17, 1998, method 10). It is
asked after every episode, so over a long trial a false alarm is likelier than 5 %: it errs on the side of what is
known to work.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from policy_api.intervals import wilson_interval

from policy_server.revisions.errors import InvalidTraffic
from policy_server.stats import StatsSnapshot

Z_ONE_SIDED_95 = 1.6448536269514722


@dataclass(frozen=True)
class Guardrails:
    """What ends a canary. A limit of 0 is not watched."""

    min_answers: int = 50
    """Requests before rates count."""
    max_deadline_misses: float = 0.1
    """Share of the requests."""
    max_bad_answers: int = 1
    """So many answers that are not finite, of a wrong shape or outside their range; 1: the first ends it."""
    max_clipped: float = 0.5
    """Share of the numbers that lie on the edge of their range. A gripper that is open or shut counts, too."""
    min_episodes: int = 10
    """Judged episodes, of either revision, before success counts."""
    max_success_drop: float = 0.1
    """Below the stable revision's share of successes."""

    def __post_init__(self) -> None:
        """Raises InvalidTraffic: a share outside 0..1, or a negative number."""
        for field in fields(self):
            value = getattr(self, field.name)
            top = 1.0 if isinstance(field.default, float) else math.inf
            if not 0 <= value <= top:
                what = "a share, from 0 to 1" if top == 1.0 else "a number of at least 0"
                raise InvalidTraffic(f"guardrails.{field.name} is {value:g}; it is {what}, and 0 is not watched")


@dataclass(frozen=True)
class Tally:
    """What a revision did in some time: rows, numbers in them, and judged episodes."""

    answers: int = 0
    deadline_misses: int = 0
    bad_answers: int = 0
    numbers: int = 0
    clipped_numbers: int = 0
    successes: int = 0
    failures: int = 0

    @classmethod
    def since(cls, before: StatsSnapshot, after: StatsSnapshot, successes: int, failures: int) -> Tally:
        """What happened between two looks at a revision's counters, and the episodes that ended meanwhile."""
        return cls(
            answers=after.answers - before.answers,
            deadline_misses=after.deadline_misses - before.deadline_misses,
            bad_answers=after.bad_answers - before.bad_answers,
            numbers=after.numbers - before.numbers,
            clipped_numbers=after.clipped_numbers - before.clipped_numbers,
            successes=successes,
            failures=failures,
        )

    @property
    def requests(self) -> int:
        """Requests that came to an end, one way or another."""
        return self.answers + self.deadline_misses + self.bad_answers

    @property
    def episodes(self) -> int:
        """Episodes that were judged."""
        return self.successes + self.failures


def breach(limits: Guardrails, canary: Tally, stable: Tally) -> str | None:
    """Why the canary has to end, for people; None if it may go on.

    Args:
        limits: the guardrails.
        canary: of the canary since it was made one.
        stable: of the stable revision; its episodes alone are looked at.
    """
    if limits.max_bad_answers and canary.bad_answers >= limits.max_bad_answers:
        return f"{canary.bad_answers} answers could not be sent (max_bad_answers {limits.max_bad_answers})"
    if canary.requests and canary.requests >= limits.min_answers:
        misses = canary.deadline_misses / canary.requests
        if limits.max_deadline_misses and misses > limits.max_deadline_misses:
            return (
                f"{misses:.1%} of {canary.requests} requests missed their deadline "
                f"(max_deadline_misses {limits.max_deadline_misses:.1%})"
            )
        clipped = canary.clipped_numbers / canary.numbers if canary.numbers else 0.0
        if limits.max_clipped and clipped > limits.max_clipped:
            return (
                f"{clipped:.1%} of the numbers of {canary.answers} answers lie on the edge of their range "
                f"(max_clipped {limits.max_clipped:.1%})"
            )
    return _success_breach(limits, canary, stable)


def _success_breach(limits: Guardrails, canary: Tally, stable: Tally) -> str | None:
    if not limits.max_success_drop or min(canary.episodes, stable.episodes) < max(1, limits.min_episodes):
        return None
    if drop_at_least(stable, canary) <= limits.max_success_drop:
        return None
    return (
        f"{canary.successes} of {canary.episodes} episodes succeeded, against {stable.successes} of {stable.episodes} "
        f"of the stable revision: with 95 % confidence more than {limits.max_success_drop:.1%} below "
        "(max_success_drop)"
    )


def drop_at_least(stable: Tally, canary: Tally, z: float = Z_ONE_SIDED_95) -> float:
    """Lower end of the interval of (success of stable - success of canary), -1..1; see above.

    Raises:
        ValueError: either has no episode.
    """
    low, _ = wilson_interval(stable.successes, stable.episodes, z)
    _, high = wilson_interval(canary.successes, canary.episodes, z)
    of_stable, of_canary = stable.successes / stable.episodes, canary.successes / canary.episodes
    return (of_stable - of_canary) - math.hypot(of_stable - low, high - of_canary)
