"""Traffic: who answers an episode, and which changes are taken."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from policy_api.errors import UnknownRevision

from policy_server.revisions.errors import InvalidTraffic, TrafficChanged
from policy_server.revisions.traffic import Traffic, changed, described, rolled_back, share_of, without_canary

A, B, C = "a" * 64, "b" * 64, "c" * 64
ALL = {A, B, C}
NAMES = st.text(max_size=12)
PRESENT = Traffic("pusher", stable=A, previous=B, etag=7)


@given(NAMES, NAMES, st.floats(0, 1), st.floats(0, 1))
def test_an_episode_has_one_answer_and_stays_a_canarys_when_the_share_grows(robot, episode, less, more):
    less, more = sorted((less, more))
    small = replace(PRESENT, canary=C, canary_fraction=less)
    large = replace(PRESENT, canary=C, canary_fraction=more)
    assert small.chosen(robot, episode, False) == small.chosen(robot, episode, False)
    if small.chosen(robot, episode, False) == (C, "canary"):
        assert large.chosen(robot, episode, False) == (C, "canary")
    assert large.chosen(robot, episode, True) == (A, "stable")


@given(NAMES, NAMES)
def test_all_and_none(robot, episode):
    assert replace(PRESENT, canary=C, canary_fraction=1.0).chosen(robot, episode, False) == (C, "canary")
    assert replace(PRESENT, canary=C, canary_fraction=0.0).chosen(robot, episode, False) == (A, "stable")
    assert PRESENT.chosen(robot, episode, False) == (A, "stable")


@pytest.mark.parametrize("fraction", [0.05, 0.5, 0.9])
def test_the_share_of_the_episodes_is_the_one_asked_for(fraction):
    traffic = replace(PRESENT, canary=C, canary_fraction=fraction)
    for names in ([("robot", f"episode {i}") for i in range(4000)], [(f"robot {i}", "") for i in range(4000)]):
        found = sum(traffic.chosen(*name, False)[1] == "canary" for name in names) / len(names)
        assert abs(found - fraction) < 4 * (fraction * (1 - fraction) / len(names)) ** 0.5


def test_names_do_not_run_together():
    assert share_of("a", "bc") != share_of("ab", "c")
    assert share_of("model", "r", "1") != share_of("other", "r", "1")


def test_a_change_of_stable_keeps_the_one_before():
    canary = changed(PRESENT, Traffic("pusher", stable=A, canary=C, canary_fraction=0.3, etag=7), ALL)
    assert (canary.stable, canary.canary, canary.previous, canary.etag) == (A, C, B, 8)
    promoted = changed(canary, Traffic("", stable=C, etag=8, reason="it is better"), ALL)
    assert (promoted.model, promoted.stable, promoted.canary, promoted.previous) == ("pusher", C, "", A)
    assert (promoted.etag, promoted.reason) == (9, "it is better")
    back = rolled_back(promoted, "it was not")
    assert (back.stable, back.previous, back.etag, back.reason) == (A, "", 10, "it was not")
    with pytest.raises(InvalidTraffic, match=r"'pusher' has no previous.*stable aaaaaaaaaaaa.*set its traffic"):
        rolled_back(back, "")


def test_a_rollback_ends_the_canary_and_keeps_the_shadow():
    traffic = replace(PRESENT, canary=C, canary_fraction=0.5, shadow="d" * 64, shadow_fraction=0.2)
    back = rolled_back(traffic, "worse")
    assert back == Traffic("pusher", stable=B, shadow="d" * 64, shadow_fraction=0.2, etag=8, reason="worse")
    assert rolled_back(replace(traffic, shadow=B), "worse").shadow == ""


def test_ending_a_canary_leaves_the_rest():
    traffic = replace(PRESENT, canary=C, canary_fraction=0.5, shadow="d" * 64, shadow_fraction=0.2)
    ended = without_canary(traffic, "too late")
    assert ended == replace(traffic, canary="", canary_fraction=0.0, etag=8, reason="too late")


def test_a_change_based_on_an_old_state_is_refused():
    for etag in (6, 8):
        with pytest.raises(TrafficChanged, match=rf"based on etag {etag}, the present one is 7 \(stable aaaaaaaaaaaa"):
            changed(PRESENT, Traffic("pusher", stable=B, etag=etag), ALL)
    assert changed(PRESENT, Traffic("pusher", stable=B, etag=0), ALL).stable == B


@pytest.mark.parametrize(
    ("wanted", "error", "says"),
    [
        (Traffic("", ""), InvalidTraffic, "stable is empty"),
        (
            Traffic("", "f" * 64),
            UnknownRevision,
            r"'f+' of model 'pusher' is not in memory; loaded are aaaaaaaaaaaa, b",
        ),
        (Traffic("", A[:12]), UnknownRevision, "by all of its digits"),
        (Traffic("", A, canary="f" * 64), UnknownRevision, "not in memory"),
        (Traffic("", A, canary=A, canary_fraction=0.1), InvalidTraffic, "cannot be stable and canary at once"),
        (Traffic("", A, shadow=A, shadow_fraction=0.1), InvalidTraffic, "cannot be stable and shadow at once"),
        (Traffic("", A, canary=B, shadow=B), InvalidTraffic, "cannot be canary and shadow at once"),
        (Traffic("", A, canary=B, canary_fraction=1.5), InvalidTraffic, "canary_fraction is 1.5; it is a share"),
        (Traffic("", A, canary=B, canary_fraction=-0.1), InvalidTraffic, "canary_fraction is -0.1"),
        (Traffic("", A, canary=B, canary_fraction=float("nan")), InvalidTraffic, "canary_fraction is nan"),
        (Traffic("", A, shadow=B, shadow_fraction=float("inf")), InvalidTraffic, "shadow_fraction is inf"),
        (Traffic("", A, canary_fraction=0.5), InvalidTraffic, "no canary is named"),
        (Traffic("", A, reason="a\nb"), InvalidTraffic, "reason is not one printable line of at most 200"),
        (Traffic("", A, reason="x" * 201), InvalidTraffic, "reason is not one printable line of at most 200"),
        (Traffic("", A, shadow_fraction=0.5), InvalidTraffic, "no shadow is named"),
    ],
)
def test_nonsense_is_refused(wanted, error, says):
    with pytest.raises(error, match=says):
        changed(PRESENT, replace(wanted, etag=0), ALL)


REVISION = st.sampled_from(["", A, B, C, "d" * 64])
FRACTION = st.sampled_from([0.0, 0.25, 1.0, 2.0])
WANTED = st.builds(
    Traffic,
    st.just("pusher"),
    stable=REVISION,
    canary=REVISION,
    canary_fraction=FRACTION,
    shadow=REVISION,
    shadow_fraction=FRACTION,
    etag=st.integers(0, 12),
)


@given(st.lists(st.one_of(WANTED, st.just("rollback"), st.just("end")), max_size=12))
def test_whatever_is_asked_the_state_makes_sense_and_its_etag_rises(steps):
    present = Traffic("pusher", stable=A)
    for step in steps:
        try:
            if step == "rollback":
                after = rolled_back(present, "back")
            elif step == "end":
                after = without_canary(present, "end")
            else:
                after = changed(present, step, ALL)
        except (InvalidTraffic, TrafficChanged, UnknownRevision):
            continue
        assert after.etag == present.etag + 1
        assert after.stable in ALL
        assert {after.canary, after.shadow, after.previous} <= ALL | {""}
        assert after.stable not in (after.canary, after.shadow, after.previous)
        assert not after.canary or after.canary != after.shadow
        assert after.slot_of(after.stable) == "stable"
        assert after.stable[:12] in described(after)
        present = after


def test_slots():
    traffic = replace(PRESENT, canary=C, shadow="d" * 64)
    assert [traffic.slot_of(name * 64) for name in "abcde"] == ["stable", "previous", "canary", "shadow", "idle"]
