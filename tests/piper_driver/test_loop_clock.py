"""Loop clock: a grid of deadlines, dropped ticks instead of bursts, honest figures."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from piper_driver.loop_clock import LoopClock

MS = 1_000_000


def play(works_ms, wakeups_ms=0):
    """Begin times of a loop whose ticks take `works_ms` and wake `wakeups_ms` late."""
    clock = LoopClock(5 * MS, 0)
    now, begins = 0, []
    lates = np.broadcast_to(wakeups_ms, len(works_ms))
    for work, late in zip(works_ms, lates, strict=True):
        now = max(now, clock.deadline_ns) + int(late * MS)
        clock.begin(now)
        begins.append(now)
        now += int(work * MS)
        clock.finish(now)
    return clock, np.array(begins)


def test_quick_ticks_keep_the_rate():
    clock, begins = play([1.0] * 201)
    assert (np.diff(begins) == 5 * MS).all()
    assert clock.mean_hz == pytest.approx(200.0) and clock.overruns == 0
    assert clock.lateness.quantile_ms(0.99) == pytest.approx(0.001)


def test_a_long_stall_drops_ticks():
    clock, begins = play([1.0, 103.0, 1.0, 1.0])
    assert list(begins // MS) == [0, 5, 110, 115]
    assert clock.work.max_ns == 103 * MS and clock.work.quantile_ms(0.5) == pytest.approx(1.0, rel=0.1)
    assert clock.overruns == 20


def test_lateness_is_measured():
    clock, _ = play([0.5] * 1000, [2.0 if i % 50 == 0 else 0.1 for i in range(1000)])
    assert clock.lateness.quantile_ms(0.5) == pytest.approx(0.1, rel=0.1)
    assert clock.lateness.quantile_ms(0.99) == pytest.approx(2.0, rel=0.1)
    assert clock.lateness.max_ns == 2 * MS


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 40), st.floats(0, 40)), min_size=2, max_size=50))
def test_never_a_burst(ticks):
    works, lates = zip(*ticks, strict=True)
    clock, begins = play(works, lates)
    assert (np.diff(begins) >= 2.5 * MS - 1).all(), "two ticks within half a period"
    assert clock.ticks == len(ticks)
    assert clock.deadline_ns == (clock.ticks + clock.overruns) * 5 * MS


def test_nothing_measured_yet():
    clock = LoopClock(5 * MS, 0)
    assert clock.mean_hz == 0.0 and clock.lateness.quantile_ms(0.99) == 0.0


def test_misses_in_a_row_are_counted_and_end_with_a_tick_in_time():
    clock, _ = play([1.0, 7.0, 8.0, 12.0])
    assert clock.missed_in_a_row == 3
    clock, _ = play([1.0, 7.0, 8.0, 1.0])
    assert clock.missed_in_a_row == 0
