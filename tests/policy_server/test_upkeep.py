from collections import Counter
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest
from policy_api.errors import UnknownSession
from serving_fakes import SECOND_NS, make_contract

from policy_server.events import EventBus
from policy_server.seam import Placement
from policy_server.sessions import SessionTable
from policy_server.stats import RevisionStats
from policy_server.upkeep import Upkeep

OLD, NEW = "a" * 64, "b" * 64


@dataclass(eq=False)
class Revision:
    revision: str
    spec: object = field(default_factory=make_contract)
    closed: bool = False
    waiting: int = 0
    stats: RevisionStats = field(default_factory=RevisionStats)


class Hub:
    def __init__(self):
        self.stable = Revision(OLD)
        self.released = Counter()
        self.on_change = None

    def contracts(self):
        return [(self.stable.spec, self.stable.revision, 3)]

    def place(self):
        return Placement(self.stable, "stable")

    def release(self, placement, outcome):
        self.released[placement, outcome] += 1

    def subscribe(self, on_change):
        self.on_change = on_change
        return lambda: setattr(self, "on_change", None)


@pytest.fixture
def desk():
    hub, sessions, events = Hub(), SessionTable(10 * SECOND_NS), EventBus()
    return SimpleNamespace(hub=hub, sessions=sessions, events=events, upkeep=Upkeep(hub, sessions, events))


def watched(desk, robot, **options):
    session = desk.sessions.open(robot, None, desk.hub.place(), 0, **options)
    return session, desk.events.watch(session.session_id)


def told(subscription):
    subscription.end()
    return [event.WhichOneof("event") for event in iter(subscription.next, None)]


def test_silent_sessions_end_once_and_are_told(desk):
    silent, subscription = watched(desk, "a")
    busy = desk.sessions.open("b", None, desk.hub.place(), 0, lease_ns=60 * SECOND_NS)
    desk.upkeep.tick(10 * SECOND_NS - 1)
    assert len(desk.sessions) == 2
    for _ in range(2):
        desk.upkeep.tick(10 * SECOND_NS)
    assert desk.sessions.all() == [busy]
    assert desk.hub.released == {(silent.placement, ""): 1}
    *_, event = iter(subscription.next, None)
    assert event.revoked.reason == "the session was silent for more than 10 s"


def test_ending_twice_releases_once(desk):
    session, _ = watched(desk, "a")
    desk.upkeep.end(session, "closed", "success")
    desk.upkeep.end(session, "closed", "failure")
    assert desk.hub.released == {(session.placement, "success"): 1}


def test_new_revision_is_told_to_those_who_would_get_it(desk):
    _, follows = watched(desk, "a")
    _, pinned = watched(desk, "b", revision=OLD)
    desk.hub.on_change("fake")
    desk.upkeep.tell_changes()
    assert told(follows) == [], "the same revision is no news"
    _, follows = watched(desk, "c")
    desk.hub.stable = Revision(NEW)
    _, has_it = watched(desk, "d")
    desk.hub.on_change("another model")
    desk.hub.on_change("fake")
    desk.upkeep.tell_changes()
    event = follows.next()
    assert (event.new_revision.revision, event.new_revision.prefix_steps) == (NEW, 3)
    assert told(follows) == told(pinned) == told(has_it) == []


def test_sessions_of_an_unloaded_revision_are_revoked(desk):
    session, subscription = watched(desk, "a")
    desk.hub.stable.closed = True
    desk.hub.on_change("fake")
    desk.upkeep.tell_changes()
    assert subscription.next().revoked.reason == "revision aaaaaaaaaaaa was unloaded"
    with pytest.raises(UnknownSession, match="revision aaaaaaaaaaaa was unloaded; open a new session"):
        session.slot.accept(1, 1)
    assert desk.hub.released == {(session.placement, ""): 1}


def test_load_is_the_share_of_the_time_since_the_last_tick(desk):
    _, subscription = watched(desk, "a", lease_ns=60 * SECOND_NS)
    revision = desk.hub.stable
    revision.stats.inferred(5 * SECOND_NS)  # before anybody watched
    desk.upkeep.tick(0)
    revision.stats.inferred(SECOND_NS // 4)
    revision.waiting = 6
    desk.upkeep.tick(SECOND_NS)
    desk.upkeep.tick(2 * SECOND_NS)
    revision.stats.inferred(9 * SECOND_NS)
    desk.upkeep.tick(3 * SECOND_NS)
    subscription.end()
    loads = [event.load for event in iter(subscription.next, None)]
    assert [load.busy for load in loads] == [0.25, 0.0, 1.0]
    assert loads[0].waiting == 6
    assert loads[0].p95_infer_us > 0


def test_thread_tells_changes_at_once(desk):
    _, subscription = watched(desk, "a")
    desk.upkeep.start()
    desk.hub.stable = Revision(NEW)
    desk.hub.on_change("fake")
    assert subscription.next().new_revision.revision == NEW
    desk.upkeep.stop()
    assert desk.hub.on_change is None
