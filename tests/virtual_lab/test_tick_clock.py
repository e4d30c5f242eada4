import pytest
from virtual_lab.tick_clock import MAX_CATCH_UP_TICKS, TickClock

MS = 1_000_000


def test_deadlines_do_not_drift_when_ticks_are_late():
    clock = TickClock(5 * MS)
    now = 1000 * MS
    assert clock.wait_ns(now) == 0
    clock.tick(now)
    for tick in range(1, 200):
        now += clock.wait_ns(now)
        assert now == (1000 + 5 * tick) * MS
        now += 2 * MS  # woken up late
        clock.tick(now)
    assert clock.ticks == 200 and clock.skipped == 0
    assert clock.mean_hz(1000 * MS + 995 * MS) == pytest.approx(200.0)


def test_a_short_stall_is_made_up_for():
    clock = TickClock(5 * MS)
    clock.tick(0)
    now = (MAX_CATCH_UP_TICKS + 1) * 5 * MS
    burst = 0
    while clock.wait_ns(now) == 0:
        clock.tick(now)
        burst += 1
    assert burst == MAX_CATCH_UP_TICKS + 1 and clock.skipped == 0


def test_a_long_stall_is_skipped_not_made_up_for():
    clock = TickClock(5 * MS)
    clock.tick(0)
    now = 1001 * MS
    burst = 0
    while clock.wait_ns(now) == 0:
        clock.tick(now)
        burst += 1
    assert burst <= 2 and clock.skipped >= 198
    assert clock.wait_ns(now) == 4 * MS  # still on the old grid


def test_mean_of_nothing():
    clock = TickClock(5 * MS)
    assert clock.mean_hz(5) == 0.0
    clock.tick(5)
    assert clock.mean_hz(5) == 0.0
