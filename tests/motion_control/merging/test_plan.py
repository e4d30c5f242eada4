import threading

import numpy as np
import pytest
from motion_control import MotionLimits
from motion_control.errors import ChunkRefusedError, LimitsError
from motion_control.merging import (
    ActionPlan,
    Crossfade,
    Replace,
    RtcPrefix,
    StepBounds,
    StepChunk,
    TemporalEnsemble,
)
from piper_description import HOME_POSITION

BOUNDS = StepBounds(np.array([-1.0]), np.array([1.0]), np.array([0.1]))
EVERY = (Replace(), Crossfade(3), TemporalEnsemble(), RtcPrefix())


def plan(strategy=EVERY[0], start=0.0):
    return ActionPlan(BOUNDS, strategy, np.array([start]))


def chunk(values, first_step=0, stamp=1, epoch=1, frozen=0):
    return StepChunk(epoch, stamp, first_step, np.array(values, dtype=float)[:, None], frozen)


def taken(made, count):
    """What the next `count` steps execute: steps and values."""
    rows = [made.take() for _ in range(count)]
    return [step for step, _ in rows], [round(float(row[0]), 9) for _, row in rows]


def test_a_chunk_is_played_from_its_first_step_to_its_last():
    made = plan()
    assert made.take() is None
    assert made.merge(chunk([0.1, 0.2, 0.3])).taken
    assert made.remaining == 3
    assert taken(made, 3) == ([0, 1, 2], [0.1, 0.2, 0.3])
    assert made.take() is None
    assert made.next_step == 3


def test_steps_stand_still_while_the_arm_does():
    made = plan()
    made.merge(chunk([0.1]))
    made.take()
    assert made.take() is None
    assert made.take() is None
    assert made.merge(chunk([0.2, 0.3], first_step=1, stamp=2)).taken
    assert taken(made, 2) == ([1, 2], [0.2, 0.3])


@pytest.mark.parametrize("strategy", EVERY, ids=str)
def test_exactly_the_executed_steps_are_dropped(strategy):
    made = plan(strategy)
    made.merge(chunk([0.1, 0.1, 0.1, 0.1]))
    taken(made, 2)
    report = made.merge(chunk([0.1, 0.1, 0.1, 0.1, 0.15], stamp=2, frozen=3))
    assert (report.taken, report.executed, made.remaining) == (True, 2, 3)
    assert taken(made, 3)[0] == [2, 3, 4]


def test_a_short_chunk_keeps_the_tail_of_the_one_before():
    made = plan()
    made.merge(chunk([0.0] * 10))
    made.merge(chunk([0.05, 0.05], stamp=2))
    assert made.remaining == 10
    assert taken(made, 10)[1] == [0.05, 0.05] + [0.0] * 8


@pytest.mark.parametrize("strategy", EVERY, ids=str)
def test_what_does_not_fit_changes_nothing(strategy):
    made = plan(strategy)
    made.merge(chunk([0.1] * 6, stamp=5))
    taken(made, 3)
    late = chunk([0.9] * 3, stamp=6)
    refused = [
        (late, "all 3 steps were executed"),
        (chunk([0.9] * 9, stamp=6, epoch=2, first_step=3), "of episode 2"),
        (chunk([0.9] * 9, stamp=5, first_step=3), "older than"),
        (chunk([0.9] * 9, stamp=4, first_step=3), "older than"),
        (chunk([0.9] * 9, stamp=6, first_step=4), "which has not come; the next one is 3"),
        (chunk([0.2, np.nan], stamp=6, first_step=3), "refused: row 1, number 0 is nan"),
        (chunk([0.2, 1.01], stamp=6, first_step=3), r"refused: row 1, number 0 is 1.01, outside -1..1"),
        (StepChunk(1, 6, 3, np.zeros((2, 2))), "refused: rows have shape (2, 2)"),
        (StepChunk(1, 6, 3, np.zeros((0, 1))), "refused: rows have shape (0, 1)"),
    ]
    for bad, words in refused:
        report = made.merge(bad)
        assert not report.taken
        assert words in report.reason
    assert taken(made, 3) == ([3, 4, 5], [0.1] * 3)


def test_a_chunk_whose_delay_was_longer_than_it_counted_on_is_discarded():
    made = plan(RtcPrefix())
    assert made.merge(chunk([0.0] * 8)).taken  # nothing was executed: it needs no condition
    taken(made, 3)
    report = made.merge(chunk([0.1] * 8, stamp=2, frozen=2))
    assert (report.taken, report.executed) == (False, 3)
    assert "3 steps were executed, the policy counted on 2" in report.reason
    assert made.merge(chunk([0.1] * 8, stamp=3, frozen=3)).taken


@pytest.mark.parametrize("strategy", EVERY, ids=str)
def test_no_step_is_larger_than_the_bound(strategy):
    made = plan(strategy)
    made.merge(chunk([0.9] * 12))
    first = taken(made, 4)[1]
    assert first == [0.1, 0.2, 0.3, 0.4]
    made.merge(chunk([-0.9] * 12, first_step=4, stamp=2, frozen=0))
    values = [first[-1], *taken(made, 12)[1]]
    assert np.abs(np.diff(values)).max() <= 0.1 + 1e-12
    assert values[-1] < 0


def test_commitment_is_what_will_be_executed():
    made = plan()
    made.merge(chunk([0.5, 0.5, 0.15, 0.0]))
    made.take()
    promised = made.commitment(9)
    assert promised.first_step == 1
    assert promised.rows.shape == (3, 1)
    np.testing.assert_allclose(promised.rows[:, 0], taken(made, 3)[1])
    assert made.commitment(4).rows.shape == (0, 1)


def test_a_new_episode_forgets_everything():
    made = plan()
    made.merge(chunk([0.1] * 5, stamp=100))
    taken(made, 2)
    made.begin(2, np.array([0.5]))
    assert made.take() is None
    assert not made.merge(chunk([0.1] * 5, stamp=101)).taken
    assert made.merge(chunk([0.5] * 2, epoch=2, stamp=3)).taken
    assert taken(made, 2) == ([0, 1], [0.5, 0.5])


def test_numbers_given_later_do_not_change_what_was_taken():
    made = plan()
    values = chunk([0.1, 0.1])
    made.merge(values)
    values.rows[:] = 0.9
    _, row = made.take()
    assert row[0] == 0.1
    with pytest.raises(ValueError, match="read-only"):
        row[0] = 1


def test_a_start_that_makes_no_sense_is_refused():
    for start in (np.array([np.nan]), np.array([2.0]), np.zeros(2), np.zeros((1, 1, 1))):
        with pytest.raises(ChunkRefusedError, match="start makes no sense"):
            ActionPlan(BOUNDS, Replace(), start)


def test_bounds_of_the_arm():
    bounds = StepBounds.of(MotionLimits.default(), 0.1)
    assert bounds.width == 7
    np.testing.assert_allclose(bounds.max_step, MotionLimits.default().velocity * 0.1)
    ActionPlan(bounds, Replace(), np.array(HOME_POSITION))
    with pytest.raises(LimitsError, match="a step takes time"):
        StepBounds.of(MotionLimits.default(), 0.0)


def test_chunks_that_land_while_steps_are_taken_never_repeat_one():
    """The race in which a chunk that arrives during the execution of a step schedules that step again."""
    made = plan(Crossfade(2))
    executed, stop = [], threading.Event()

    def execute():
        while not stop.is_set():
            if (item := made.take()) is not None:
                executed.append(item[0])

    thread = threading.Thread(target=execute)
    thread.start()
    try:
        for stamp in range(1, 1500):
            made.merge(chunk([0.1] * 40, first_step=max(0, made.next_step - stamp % 5), stamp=stamp))
    finally:
        stop.set()
        thread.join(10)
    assert executed == list(range(len(executed)))
    assert len(executed) > 10
