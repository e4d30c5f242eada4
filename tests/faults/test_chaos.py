"""What random runs do, from their seeds."""

from random import Random

from virtual_lab.can_faults import FaultKind

from benchmarks.faults.chaos import EVENTS, MAX_GAP_S, Event, Outcome, _wire_fault, plan


def test_a_seed_decides_everything():
    assert plan(7) == plan(7) and plan(7) != plan(8)


def test_every_kind_of_event_comes_up_and_is_bounded():
    events = [event for seed in range(300) for event in plan(seed)]
    assert len(events) == 300 * EVENTS
    seen = {(event.kind, event.what) for event in events}
    assert {kind for kind, _ in seen} == {"kill", "stop", "proxy", "wire", "operator"}
    assert {("kill", "driver"), ("stop", "lab"), ("proxy", "blackhole"), ("operator", "estop")} <= seen
    assert all(0 <= e.after_s <= MAX_GAP_S and 0 < e.lasts_s < 1.0 for e in events)


def test_every_fault_of_the_wire_can_be_made():
    for kind in FaultKind:
        for seed in range(50):
            assert _wire_fault(kind, Random(seed)).kind is kind


def test_what_is_told_of_a_run_names_its_seed_and_events():
    outcome = Outcome(3, (Event("kill", "driver", 0.1, 0.1),), ("Joint1 too fast",), "")
    assert outcome.told(*outcome.breaches, outcome.failure) == ["seed 3 (kill driver): Joint1 too fast"]
