"""Schedule: merging, interpolation, refusals, and the same targets as the batched form."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from motion_control import Chunk, ChunkRefusedError, ChunkSchedule, interpolate

MS = 1_000_000


def chunk(times_ms, values, observation_ms=0):
    times = np.array([int(t * MS) for t in times_ms])
    return Chunk(observation_ms * MS, times, np.array(values, dtype=float)[:, None] * np.ones(7))


def test_lines_run_from_the_setpoint_through_the_waypoints():
    schedule = ChunkSchedule()
    assert schedule.sample(0) is None and schedule.exhausted(0) and schedule.end_ns is None
    assert schedule.merge(chunk([100, 200], [1.0, 0.0]), 0, np.zeros(7)) == 0
    for at_ms, value in [(0, 0.0), (25, 0.25), (100, 1.0), (150, 0.5), (200, 0.0), (900, 0.0)]:
        assert schedule.sample(at_ms * MS) == pytest.approx(np.full(7, value))
    assert not schedule.exhausted(199 * MS) and schedule.exhausted(200 * MS)
    assert schedule.end_ns == 200 * MS


def test_points_in_the_past_are_dropped():
    schedule = ChunkSchedule()
    assert schedule.merge(chunk([10, 20, 40], [1.0, 2.0, 4.0]), 20 * MS, np.full(7, 3.0)) == 2
    assert schedule.sample(30 * MS) == pytest.approx(np.full(7, 3.5))


def test_a_new_chunk_starts_at_the_setpoint_and_replaces_the_rest():
    schedule = ChunkSchedule()
    schedule.merge(chunk([100, 200], [1.0, 2.0]), 0, np.zeros(7))
    schedule.merge(chunk([150], [0.0], observation_ms=50), 60 * MS, np.full(7, 0.6))
    assert schedule.sample(60 * MS) == pytest.approx(np.full(7, 0.6))
    assert schedule.sample(105 * MS) == pytest.approx(np.full(7, 0.3))
    assert schedule.end_ns == 150 * MS


@pytest.mark.parametrize(
    ("late", "message"),
    [
        (chunk([10, 20], [5.0, 5.0], observation_ms=5), "in the past"),
        (chunk([300], [5.0], observation_ms=0), "not newer"),
    ],
)
def test_a_stale_or_old_chunk_changes_nothing(late, message):
    schedule = ChunkSchedule()
    schedule.merge(chunk([100, 200], [1.0, 2.0]), 0, np.zeros(7))
    with pytest.raises(ChunkRefusedError, match=message):
        schedule.merge(late, 50 * MS, np.zeros(7))
    assert schedule.sample(150 * MS) == pytest.approx(np.full(7, 1.5))


@pytest.mark.parametrize(
    ("times", "position", "message"),
    [
        ([1, 2], np.zeros((2, 6)), "expected"),
        ([1, 2], np.zeros(7), "expected"),
        ([], np.zeros((0, 7)), "expected"),
        ([1], np.zeros((2, 7)), "times have shape"),
        ([1.5, 2.5], np.zeros((2, 7)), "whole nanoseconds"),
        ([2, 2], np.zeros((2, 7)), "must increase"),
        ([3, 2], np.zeros((2, 7)), "must increase"),
        ([0, 2], np.zeros((2, 7)), "after the observation"),
        ([1, 2], np.full((2, 7), np.nan), "not finite"),
        ([1, 2], np.full((2, 7), -np.inf), "not finite"),
        ([1, 2], [["x"] * 7] * 2, "arrays of numbers"),
    ],
)
def test_bad_chunks_cannot_be_made(times, position, message):
    with pytest.raises(ChunkRefusedError, match=message):
        Chunk(0, np.array(times), position)


def test_a_chunk_keeps_its_values_when_the_source_changes():
    position = np.zeros((1, 7))
    made = Chunk(0, np.array([5]), position)
    position[:] = np.nan
    assert np.isfinite(made.position).all()


@settings(max_examples=200, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    horizon=st.integers(1, 6),
    step_ticks=st.integers(1, 40),
    settle_ticks=st.integers(0, 30),
    start_ns=st.integers(0, 10**15),
)
def test_batched_targets_are_those_of_the_schedule(seed, horizon, step_ticks, settle_ticks, start_ns):
    rng = np.random.default_rng(seed)
    period_ns = 5 * MS
    start, waypoints = rng.normal(size=(2, 7)), rng.normal(size=(2, horizon, 7))
    targets = interpolate(start, waypoints, step_ticks, settle_ticks)
    assert targets.shape == (2, horizon * step_ticks + settle_ticks, 7)
    times = start_ns + np.arange(1, horizon + 1) * step_ticks * period_ns
    for arm in range(2):
        schedule = ChunkSchedule()
        schedule.merge(Chunk(start_ns - 1, times, waypoints[arm]), start_ns, start[arm])
        sampled = [schedule.sample(start_ns + tick * period_ns) for tick in range(1, targets.shape[1] + 1)]
        assert (np.array(sampled) == targets[arm]).all()
    assert (targets[:, step_ticks - 1 :: step_ticks][:, :horizon] == waypoints).all()


@pytest.mark.parametrize("ticks", [(0, 5), (1, -1)])
def test_interpolate_refuses_impossible_counts(ticks):
    with pytest.raises(ChunkRefusedError, match="step_ticks"):
        interpolate(np.zeros(7), np.zeros((2, 7)), *ticks)
