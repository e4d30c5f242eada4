import threading

import pytest
from policy_api import policy_pb2 as pb

from policy_server.events import EventBus


def load(waiting):
    return pb.SessionEvent(load=pb.Load(waiting=waiting))


@pytest.fixture
def bus():
    return EventBus()


def rest(subscription):
    events = []
    while (event := subscription.next()) is not None:
        events.append(event)
    return events


def test_events_reach_their_own_session_in_order(bus):
    a, b = bus.watch("a"), bus.watch("b")
    for waiting in range(3):
        bus.publish("a", load(waiting))
    bus.publish("b", load(7))
    bus.publish("nobody", load(8))
    a.end()
    b.end()
    assert rest(a) == [load(0), load(1), load(2)]
    assert rest(b) == [load(7)]


def test_next_waits_for_an_event(bus):
    watched = bus.watch("a")
    got = []
    reader = threading.Thread(target=lambda: got.extend(rest(watched)))
    reader.start()
    bus.publish("a", load(1))
    bus.end("a", "revision abc was unloaded")
    reader.join(20)
    assert got == [load(1), pb.SessionEvent(revoked=pb.Revoked(reason="revision abc was unloaded"))]


def test_robot_that_closed_its_session_is_told_nothing(bus):
    watched = bus.watch("a")
    bus.end("a")
    assert rest(watched) == []
    assert bus.watched() == []


def test_robot_that_does_not_read_keeps_the_newest_events(bus):
    watched = bus.watch("a")
    for waiting in range(1000):
        bus.publish("a", load(waiting))
    watched.end()
    assert rest(watched) == [load(waiting) for waiting in range(968, 1000)]


def test_second_watcher_of_a_session_ends_the_first(bus):
    first = bus.watch("a")
    second = bus.watch("a")
    assert rest(first) == []
    bus.leave("a", first)  # its stream ends later than the new one began
    bus.publish("a", load(1))
    bus.leave("a", second)
    assert rest(second) == [load(1)]
    assert bus.watched() == []


def test_drain_tells_everybody_and_ends_all_streams(bus):
    watchers = [bus.watch(name) for name in "abc"]
    bus.drain(900)
    bus.publish("a", load(1))
    for watcher in watchers:
        assert rest(watcher) == [pb.SessionEvent(draining=pb.Draining(grace_ms=900))]
    assert rest(bus.watch("late")) == []
