"""Guardrails: what ends a canary, and what does not."""

import re
from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from policy_api.intervals import Z_95

from policy_server.revisions.errors import InvalidTraffic
from policy_server.revisions.guardrails import Guardrails, Tally, breach, drop_at_least
from policy_server.stats import RevisionStats

LIMITS = Guardrails(
    min_answers=10,
    max_deadline_misses=0.2,
    max_bad_answers=2,
    max_clipped=0.5,
    min_episodes=5,
    max_success_drop=0.1,
)
NOTHING = Tally()
COUNT = st.integers(0, 200)


@pytest.mark.parametrize(
    ("canary", "says"),
    [
        (Tally(bad_answers=2), r"2 answers could not be sent \(max_bad_answers 2\)"),
        (Tally(answers=7, deadline_misses=3), r"30.0% of 10 requests missed their deadline \(max_deadline_misses 20"),
        (
            Tally(answers=10, numbers=100, clipped_numbers=51),
            r"51.0% of the numbers of 10 answers lie on the edge of their range \(max_clipped 50.0%\)",
        ),
    ],
)
def test_rates_end_a_canary(canary, says):
    assert re.match(says, breach(LIMITS, canary, NOTHING))


@pytest.mark.parametrize(
    "canary",
    [
        NOTHING,
        Tally(bad_answers=1),
        Tally(answers=4, deadline_misses=5),  # too few to speak of a rate
        Tally(answers=8, deadline_misses=2),  # at the limit
        Tally(answers=10, numbers=100, clipped_numbers=50),
        Tally(answers=9, numbers=100, clipped_numbers=100),
        Tally(failures=4),
    ],
)
def test_less_than_that_does_not(canary):
    assert breach(LIMITS, canary, Tally(successes=100)) is None


def test_success_ends_a_canary_on_evidence_alone():
    stable = Tally(successes=90, failures=10)
    assert breach(LIMITS, Tally(successes=0, failures=4), stable) is None  # too few episodes
    assert breach(LIMITS, Tally(successes=3, failures=2), stable) is None  # could be chance
    assert breach(LIMITS, Tally(successes=60, failures=40), stable) == (
        "60 of 100 episodes succeeded, against 90 of 100 of the stable revision: with 95 % confidence more than 10.0% "
        "below (max_success_drop)"
    )
    assert breach(LIMITS, Tally(successes=0, failures=5), stable) is not None
    assert breach(LIMITS, Tally(successes=0, failures=5), Tally(successes=4)) is None  # nothing to compare with
    assert breach(LIMITS, Tally(successes=85, failures=15), stable) is None  # within the allowed drop
    assert breach(LIMITS, Tally(successes=100), Tally(failures=100)) is None  # better


def test_the_interval_is_newcombes():
    stable, canary = Tally(successes=56, failures=14), Tally(successes=48, failures=32)
    assert drop_at_least(stable, canary, Z_95) == pytest.approx(0.0524, abs=5e-5)  # table II of the paper, (a)
    assert 0.0524 < drop_at_least(stable, canary) < 0.2


def test_false_alarms_of_one_look_are_rare():
    rng = np.random.default_rng(0)
    limits = Guardrails(min_episodes=20, max_success_drop=1e-9)
    alarms = 0
    for successes, others in zip(rng.binomial(40, 0.7, 2000), rng.binomial(60, 0.7, 2000), strict=True):
        canary, stable = (
            Tally(successes=successes, failures=40 - successes),
            Tally(successes=others, failures=60 - others),
        )
        alarms += breach(limits, canary, stable) is not None
    assert 0.02 < alarms / 2000 < 0.07


TALLY = st.builds(
    Tally,
    answers=COUNT,
    deadline_misses=COUNT,
    bad_answers=COUNT,
    successes=st.integers(0, 60),
    failures=st.integers(0, 60),
)


@given(TALLY, TALLY)
def test_nothing_is_watched_without_limits(canary, stable):
    assert breach(Guardrails(0, 0.0, 0, 0.0, 0, 0.0), canary, stable) is None


@given(TALLY, TALLY)
def test_more_trouble_never_saves_a_canary(canary, stable):
    def worse(**more):
        values = {field.name: getattr(canary, field.name) + more.get(field.name, 0) for field in fields(canary)}
        return Tally(**values)

    if breach(LIMITS, canary, stable):
        assert breach(LIMITS, worse(bad_answers=1, deadline_misses=1), stable)
    if canary.episodes and stable.episodes:
        assert drop_at_least(stable, worse(failures=1)) > drop_at_least(stable, canary) - 0.05
        assert -1.0 <= drop_at_least(stable, canary) <= 1.0


def test_a_tally_counts_what_happened_in_between():
    stats = RevisionStats()
    stats.answered(28, 7)
    before = stats.snapshot()
    stats.answered(28, 3)
    stats.deadline_missed()
    stats.bad_answer()
    found = Tally.since(before, stats.snapshot(), successes=2, failures=1)
    assert found == Tally(1, 1, 1, 28, 3, 2, 1)
    assert (found.requests, found.episodes) == (3, 3)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"max_clipped": 1.5}, "guardrails.max_clipped is 1.5; it is a share"),
        ({"max_deadline_misses": -0.1}, "guardrails.max_deadline_misses is -0.1"),
        ({"max_success_drop": float("nan")}, "guardrails.max_success_drop is nan"),
        ({"min_answers": -1}, "guardrails.min_answers is -1; it is a number of at least 0"),
    ],
)
def test_nonsense_is_refused(values, says):
    with pytest.raises(InvalidTraffic, match=says):
        Guardrails(**values)
