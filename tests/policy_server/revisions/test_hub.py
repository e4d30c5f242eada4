"""Sessions on revisions that come and go."""

import gc
import weakref
from dataclasses import replace

import numpy as np
import pytest
from policy_api.errors import ServerFault, ServerUnavailable, UnknownModel, UnknownRevision
from revision_policies import MarkedPolicy, ask, until

from policy_server.revisions.errors import CheckpointRefused, InvalidTraffic, MemoryFull, RevisionInUse, TrafficChanged
from policy_server.revisions.guardrails import Guardrails
from policy_server.revisions.traffic import Traffic
from policy_server.served import ServedRevision

A, B, C = "a" * 64, "b" * 64, "c" * 64


def mark(answer):
    return round(float(answer.actions[0, 0]) * 1000)


@pytest.fixture
def changes(hub):
    heard = []
    hub.subscribe(heard.append)
    return heard


def test_the_first_revision_of_a_model_answers_and_later_ones_wait(hub, operations, add, spec, changes):
    add("a")
    add("b")
    assert hub.contracts() == [(spec, A, 0)]
    placement = hub.place("robot", "1", "", "", False)
    assert (placement.served.revision, placement.slot) == (A, "stable")
    assert mark(ask(hub, placement)) == 1
    assert [view.slot for view in operations.revisions("")] == ["stable", "idle"]
    assert changes == ["echo", "echo"]


def test_unknown_names_are_refused_with_those_that_exist(hub, add, spec):
    with pytest.raises(UnknownModel, match="none yet; load a checkpoint"):
        hub.place("robot", "", "", "", False)
    add("a")
    add("b", spec=replace(spec, model="other"))
    with pytest.raises(UnknownModel, match=r"'pusher' is not served here; name one of: echo, other"):
        hub.place("robot", "", "pusher", "", False)
    with pytest.raises(UnknownModel, match="echo, other"):
        hub.place("robot", "", "", "", False)
    with pytest.raises(UnknownRevision, match=r"'bbb.*' of model 'echo' is not in memory; loaded are aaaaaaaaaaaa"):
        hub.place("robot", "", "echo", B, False)


def test_a_session_keeps_its_revision_until_it_is_placed_again(hub, operations, add):
    add("a")
    add("b")
    before = hub.place("robot", "1", "", "", False)
    operations.set_traffic(Traffic("", B, etag=0), None)
    assert mark(ask(hub, before)) == 1
    after = hub.place("robot", "2", "", "", False)
    hub.release(before, "success")
    assert mark(ask(hub, after)) == 2
    assert [(v.slot, v.sessions, v.successes) for v in operations.revisions("echo")] == [
        ("previous", 0, 1),
        ("stable", 1, 0),
    ]


def test_a_revision_that_is_asked_for_by_name_is_given_whatever_it_is_for(hub, operations, add):
    add("a")
    add("b")
    placement = hub.place("robot", "1", "echo", B, True)
    assert (placement.served.revision, placement.slot) == (B, "idle")
    operations.set_traffic(Traffic("", A, canary=B, canary_fraction=0.5, etag=0), None)
    assert hub.place("robot", "1", "", B, True).slot == "canary"


def test_rollback_loads_nothing(hub, operations, add, monkeypatch, changes):
    add("a")
    second = add("b")
    operations.set_traffic(Traffic("", B, etag=0), None)
    calls = []
    monkeypatch.setattr(ServedRevision, "__init__", lambda *_: calls.append("made"))
    monkeypatch.setattr(ServedRevision, "warm_up", lambda *_: calls.append("warmed up"))
    monkeypatch.setattr(MarkedPolicy, "act", lambda *_: calls.append("asked"))
    changes.clear()
    after = operations.rollback("", "it pushes too hard")
    assert (after.stable, after.previous, after.reason) == (A, "", "it pushes too hard")
    assert hub.place("robot", "1", "", "", False).served.revision == A
    assert calls == []
    assert changes == ["echo"]
    assert second.rows == 0
    with pytest.raises(InvalidTraffic, match="no previous"):
        operations.rollback("", "")


def test_a_stale_change_is_refused_and_changes_nothing(operations, add, changes):
    add("a")
    add("b")
    seen = operations.traffic("")[0][0]
    first = operations.set_traffic(replace(seen, canary=B, canary_fraction=0.1), None)
    changes.clear()
    with pytest.raises(TrafficChanged, match=f"based on etag {seen.etag}, the present one is {first.etag}"):
        operations.set_traffic(replace(seen, stable=B), Guardrails(min_answers=1))
    assert operations.traffic("echo") == [(first, Guardrails())]
    assert changes == []


LIMITS = Guardrails(
    min_answers=4, max_deadline_misses=0.5, max_bad_answers=2, max_clipped=0.3, min_episodes=5, max_success_drop=0.1
)


def tried(operations, limits=LIMITS):
    """b as the canary of all episodes."""
    return operations.set_traffic(Traffic("", A, canary=B, canary_fraction=1.0, etag=0), limits)


def test_answers_that_cannot_be_sent_end_a_canary(hub, operations, add, changes):
    add("a")
    canary = add("b")
    tried(operations)
    placement = hub.place("robot", "1", "", "", False)
    assert placement.slot == "canary"
    canary.spoil = lambda actions: actions * np.nan
    assert isinstance(ask(hub, placement), ServerFault)
    assert operations.traffic("")[0][0].canary == B
    changes.clear()
    assert isinstance(ask(hub, placement), ServerFault)
    traffic = operations.traffic("")[0][0]
    assert (traffic.stable, traffic.canary, traffic.canary_fraction) == (A, "", 0.0)
    assert traffic.reason == "guardrail ended canary bbbbbbbbbbbb: 2 answers could not be sent (max_bad_answers 2)"
    assert changes == ["echo"]
    assert hub.place("robot", "1", "", "", False).served.revision == A
    canary.spoil = None
    assert mark(ask(hub, placement)) == 2  # its episode ends as it began


def test_late_answers_end_a_canary(hub, operations, add):
    add("a")
    add("b")
    tried(operations)
    placement = hub.place("robot", "1", "", "", False)
    for _ in range(2):
        assert mark(ask(hub, placement)) == 2
    for _ in range(2):
        ask(hub, placement, wait_s=-1.0)
    assert operations.traffic("")[0][0].canary == B  # half of them; that is the limit
    ask(hub, placement, wait_s=-1.0)
    assert "60.0% of 5 requests missed their deadline" in operations.traffic("")[0][0].reason


def test_numbers_on_the_edge_end_a_canary_but_not_those_of_before(hub, operations, add):
    add("a")
    canary = add("b")
    canary.spoil = lambda actions: np.full_like(actions, 0.05)
    pinned = hub.place("robot", "1", "", B, False)
    for _ in range(6):
        ask(hub, pinned)
    tried(operations)
    canary.spoil = None
    placement = hub.place("robot", "1", "", "", False)
    for _ in range(4):
        ask(hub, placement)
    assert operations.traffic("")[0][0].canary == B
    canary.spoil = lambda actions: np.full_like(actions, 0.05)
    for _ in range(4):
        ask(hub, placement)
    assert "of their range (max_clipped 30.0%)" in operations.traffic("")[0][0].reason


def test_success_ends_a_canary(hub, operations, add):
    add("a")
    add("b")
    for i in range(10):
        hub.release(hub.place("robot", f"stable {i}", "", "", False), "success" if i else "failure")
    tried(operations)
    for i in range(4):
        hub.release(hub.place("robot", f"canary {i}", "", "", False), "failure")
        hub.release(hub.place("robot", f"canary {i}", "", "", False), "discarded")
        hub.release(hub.place("robot", f"canary {i}", "", "", False), "")
    assert operations.traffic("")[0][0].canary == B
    last = hub.place("robot", "canary 4", "", "", False)
    hub.release(last, "failure")
    hub.release(last, "failure")  # once only
    assert "0 of 5 episodes succeeded, against 9 of 10" in operations.traffic("")[0][0].reason
    assert [(v.successes, v.failures) for v in operations.revisions("")] == [(9, 1), (0, 5)]


def test_the_verdict_that_ends_a_canary_counts_for_the_next_episode_already(hub, operations, add):
    add("a")
    add("b")
    for i in range(10):
        hub.release(hub.place("robot", f"stable {i}", "", "", False), "success")
    tried(operations)
    for i in range(4):
        hub.release(hub.place("robot", f"canary {i}", "", "", False), "failure")
    last = hub.place("robot", "canary 4", "", "", False)
    assert last.slot == "canary"
    hub.judged(last, "failure")
    assert hub.place("robot", "canary 5", "", "", False).slot == "stable"
    hub.release(last, "failure")
    assert [(v.successes, v.failures) for v in operations.revisions("")] == [(10, 0), (0, 5)]


def test_a_trial_goes_on_when_its_share_changes_and_begins_again_with_another_canary(hub, operations, add):
    add("a")
    canary = add("b")
    add("c")
    tried(operations)
    placement = hub.place("robot", "1", "", "", False)
    canary.spoil = lambda actions: actions * np.nan
    ask(hub, placement)
    operations.set_traffic(Traffic("", A, canary=B, canary_fraction=0.5, etag=0), None)
    ask(hub, placement)
    assert operations.traffic("")[0][0].canary == ""
    tried(operations)
    operations.set_traffic(Traffic("", A, canary=C, canary_fraction=1.0, etag=0), None)
    ask(hub, placement)
    ask(hub, placement)  # faults of who is the canary no more
    tried(operations)
    assert operations.traffic("")[0][0].canary == B  # those of the first trial are forgiven
    ask(hub, placement)
    assert operations.traffic("")[0][0].canary == B


def test_a_revision_that_is_needed_is_not_unloaded(hub, operations, add):
    for letter in "abcd":
        add(letter)
    operations.set_traffic(Traffic("", B, canary=C, canary_fraction=0.5, shadow="d" * 64, etag=0), None)
    for revision, slot in ((B, "stable"), (C, "canary"), ("d" * 64, "shadow")):
        for force in (False, True):
            with pytest.raises(RevisionInUse, match=rf"is the {slot} one of model 'echo'; set that traffic otherwise"):
                operations.unload(revision, force)
    placement = hub.place("robot", "", "", A, False)
    with pytest.raises(RevisionInUse, match="1 sessions hold revision aaaaaaaaaaaa until their next reset"):
        operations.unload(A, False)
    with pytest.raises(UnknownRevision, match=r"not in memory; loaded are aaaaaaaaaaaa, bbb.*by all of its digits"):
        operations.unload("a", False)
    hub.release(placement, "")
    operations.unload(A, False)
    traffic = operations.traffic("")[0][0]
    assert (traffic.previous, traffic.reason) == ("", "previous aaaaaaaaaaaa was unloaded")
    assert [view.served.revision[0] for view in operations.revisions("")] == ["b", "c", "d"]


def test_a_forced_unload_cuts_sessions_off(hub, operations, add, changes):
    add("a")
    add("b")
    placement = hub.place("robot", "1", "", B, False)
    closed = []
    hub.subscribe(lambda model: closed.append(placement.served.closed))
    operations.unload(B, True)
    assert closed == [True]  # who is told can see whom it concerns
    assert isinstance(ask(hub, placement), ServerUnavailable)
    hub.release(placement, "failure")
    assert hub.place("robot", "1", "", "", False).served.revision == A
    with pytest.raises(UnknownRevision):
        hub.place("robot", "1", "", B, False)


def test_what_is_unloaded_leaves_memory(hub, operations, catalog, add):
    add("a")
    policy = weakref.ref(add("b"))
    hub.release(hub.place("robot", "1", "", B, False), "success")
    used = catalog.store.used_bytes
    operations.unload(B, False)
    assert catalog.store.used_bytes == used - 1_000_000
    gc.collect()
    assert policy() is None


def test_memory_is_limited_and_idle_revisions_are_named(hub, operations, catalog, add, spec):
    for letter in "abc":
        add(letter)
    operations.set_traffic(Traffic("", B, etag=0), None)
    with pytest.raises(
        MemoryFull, match=r"ddd needs 8.0 MB .* but 7.0 MB of 10.0 MB are free; .* idle \(cccccccccccc\)"
    ):
        catalog.reserve(spec, "d" * 64, 8_000_000)
    hub.place("robot", "", "", C, False)
    with pytest.raises(MemoryFull, match="no revision in memory is idle, or start the server with a higher limit"):
        catalog.reserve(spec, "d" * 64, 8_000_000)
    catalog.reserve(spec, "d" * 64, 7_000_000)
    catalog.give_back("d" * 64)
    catalog.reserve(spec, "d" * 64, 7_000_000)


def test_another_contract_is_refused_by_field(catalog, add, spec):
    add("a")
    other = replace(spec, cameras=(spec.cameras[0], replace(spec.cameras[1], jpeg_quality=70)))
    with pytest.raises(CheckpointRefused, match=r"model 'echo' at cameras\[1\].jpeg_quality: 90 against 70"):
        catalog.reserve(other, B, 1)
    add("b", spec=replace(other, model="other"))


def test_a_policy_that_cannot_act_leaves_no_trace(catalog, operations, spec):
    broken = MarkedPolicy(spec, "a", 1)
    broken.spoil = lambda actions: actions[:, :3]
    with pytest.raises(ServerFault, match=r"shape"):
        catalog.add(broken, 10_000_000)
    assert operations.revisions("") == []
    catalog.reserve(spec, A, 10_000_000)


def test_a_shadow_is_asked_and_nobody_else_learns_what_it_said(hub, operations, add):
    add("a")
    shadow = add("c")
    operations.set_traffic(Traffic("", A, shadow=C, shadow_fraction=0.5, etag=0), None)
    placement = hub.place("robot", "1", "", "", False)
    for i in range(4):
        assert mark(ask(hub, placement)) == 1
        until(lambda: operations.revisions("")[1].stats.answers == (i + 1) // 2)  # noqa: B023 - called at once
    until(lambda: operations.revisions("")[1].shadow_distance > 0)
    view = operations.revisions("")[1]
    assert shadow.rows == 2
    assert view.shadow_distance == pytest.approx(0.002 / 0.1 / 4)  # dx 0.001 against 0.003, of one field in four
    assert operations.revisions("")[0].shadow_distance == 0
    pinned = hub.place("robot", "1", "", C, False)
    ask(hub, pinned)
    ask(hub, pinned)
    assert shadow.rows == 4  # no shadow of its own


def test_whoever_has_left_hears_nothing(hub, operations, add):
    heard = []
    leave = hub.subscribe(heard.append)
    add("a")
    leave()
    leave()
    add("b")
    assert heard == ["echo"]
