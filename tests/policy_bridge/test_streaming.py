"""Chunks that flow into each other: no step twice, none skipped, none too fast, whatever the server's delay."""

import numpy as np
import pytest
from bridge_specs import make_spec
from hypothesis import given, settings
from hypothesis import strategies as st
from motion_control.errors import ActionRefusedError, LimitsError
from motion_control.limits import MotionLimits
from piper_description import HOME_POSITION
from policy_api.schema import ActionChunk
from policy_bridge.pace import LEAD_NS, Synchronous
from policy_bridge.pacing import Pacing
from policy_bridge.streaming import MAX_LATE, Streaming

MS = 1_000_000
EE = make_spec()
HORIZON = 10
SPEC = make_spec(action_space="joint_position", action=EE.state, horizon=HORIZON, settle_s=0.0)
DT = SPEC.dt_ns
HOME = np.asarray(HOME_POSITION, dtype=np.float64)
LIMITS = MotionLimits.default()


def chunk(step, first=0.0, slope=0.01, merge="", frozen=0, observation_ns=0):
    """Joint 1 at `first` + `slope` k in step k; the other joints at home."""
    rows = np.tile(HOME, (HORIZON, 1))
    rows[:, 0] = first + slope * (step + np.arange(HORIZON))
    return ActionChunk(rows.astype(np.float32), DT, step, observation_ns, "rev", merge=merge, frozen_rows=frozen)


def begun(**options):
    pace = Streaming(SPEC, LIMITS, **options)
    pace.begin(0)
    return pace


def test_first_chunk_begins_at_once_and_the_next_question_comes_while_it_is_played():
    pace = begun(every_steps=4)
    assert pace.due_since(0) == 0
    question = pace.ask(0, HOME)
    assert (question.step, question.committed) == (0, None)
    play = pace.answer(chunk(0), 0, 30 * MS)
    begin = 30 * MS + LEAD_NS
    np.testing.assert_array_equal(play.time_ns, [begin + DT * k for k in range(1, HORIZON + 1)])
    assert pace.due_since(begin + 3 * DT - 1) is None
    assert pace.due_since(begin + 3 * DT) == begin + 3 * DT
    assert pace.ask(begin + 3 * DT, HOME).step == 4


def test_exactly_the_executed_steps_are_dropped():
    pace = begun(every_steps=4, merge="replace")
    pace.ask(0, HOME)
    pace.answer(chunk(0), 0, 0)
    begin = LEAD_NS
    assert pace.ask(begin + 3 * DT, HOME).step == 4
    play = pace.answer(chunk(4, slope=0.0101), 1, begin + 5 * DT + 20 * MS)  # steps 4 and 5 have begun
    assert play.time_ns[0] == begin + 6 * DT  # the end of step 5, which is being played
    assert play.position[0, 0] == pytest.approx(0.05)
    assert play.position[1, 0] == pytest.approx(0.0606)
    assert len(play.position) == 1 + 14 - 6
    assert play.time_ns[-1] == begin + 14 * DT


def test_a_starved_arm_stands_and_goes_on_with_the_next_number():
    pace = begun(merge="replace")
    pace.ask(0, HOME)
    pace.answer(chunk(0), 0, 0)
    late = LEAD_NS + 40 * DT
    assert pace.over(late)
    assert pace.ask(late, HOME).step == HORIZON
    play = pace.answer(chunk(HORIZON), 1, late + 10 * MS)
    assert play.time_ns[0] == late + 10 * MS + LEAD_NS + DT
    assert len(play.position) == HORIZON
    assert not pace.over(late + 10 * MS)


def test_what_was_seen_must_be_new():
    pace = begun()
    pace.ask(0, HOME)
    pace.answer(chunk(0), 7, 0)
    assert pace.not_before_ns == 8


def test_a_policy_that_can_be_conditioned_is_told_what_is_played():
    pace = begun(every_steps=4, prefix_steps=3)
    assert pace.ask(0, HOME).committed is None
    pace.answer(chunk(0, merge="rtc_prefix"), 0, 0)
    begin = LEAD_NS
    committed = pace.ask(begin + 3 * DT, HOME).committed
    np.testing.assert_allclose(committed.actions[:, 0], [0.04, 0.05, 0.06], atol=1e-6)
    assert (committed.first_step, committed.delay_steps) == (4, 0)
    assert pace.answer(chunk(4, merge="rtc_prefix", frozen=2), 1, begin + 5 * DT + 1) is not None
    committed = pace.ask(begin + 7 * DT, HOME).committed
    assert (committed.first_step, committed.delay_steps) == (8, 2)  # as long as the last answer took
    assert pace.answer(chunk(8, merge="rtc_prefix", frozen=1), 2, begin + 9 * DT + 1) is None
    assert pace.late == 1


def test_too_many_late_answers_in_a_row_are_no_policy():
    pace = begun(every_steps=1, prefix_steps=1)
    pace.ask(0, HOME)
    pace.answer(chunk(0, merge="rtc_prefix"), 0, 0)
    now = LEAD_NS
    for number in range(MAX_LATE):
        step = pace.ask(now, HOME).step
        now += DT
        late = chunk(step, merge="rtc_prefix")
        if number < MAX_LATE - 1:
            assert pace.answer(late, number + 1, now) is None
        else:
            with pytest.raises(ActionRefusedError, match="5 answers in a row"):
                pace.answer(late, number + 1, now)


def test_moves_of_the_tool_begin_where_the_arm_is_commanded_to_be():
    spec = make_spec(settle_s=0.0)
    pace = Streaming(spec, LIMITS, "replace", every_steps=2)
    pace.begin(0)
    down = np.tile(np.array([0, 0, -0.004, 0.03], np.float32), (4, 1))
    answer = ActionChunk(down, spec.dt_ns, 0, 0, "rev")
    pace.ask(0, HOME)
    first = pace.answer(answer, 0, 0)
    begin = LEAD_NS
    assert pace.ask(begin + spec.dt_ns, HOME).step == 2
    second = pace.answer(answer, 1, begin + spec.dt_ns + 1)
    np.testing.assert_allclose(second.position[:3], first.position[1:4], atol=1e-9)


@settings(max_examples=30, deadline=None)
@given(
    delays=st.lists(st.integers(0, 700), min_size=3, max_size=8),
    looks=st.integers(1, 60),
    merge=st.sampled_from(["replace", "crossfade", "temporal_ensemble"]),
    every=st.integers(1, HORIZON),
    firsts=st.lists(st.floats(-1.2, 1.2), min_size=8, max_size=8),
)
def test_whatever_the_delay_every_step_is_played_once_and_within_its_speed(delays, looks, merge, every, firsts):
    pace = begun(merge=merge, every_steps=every)
    now, schedule, played = 0, {}, []
    for number, (delay_ms, first) in enumerate(zip(delays, firsts, strict=False)):
        while pace.due_since(now) is None:
            now += looks * MS
        step = pace.ask(now, HOME).step
        now += delay_ms * MS
        play = pace.answer(chunk(step, first, 0.02), number + 1, now)
        played += sorted((due, row) for due, row in schedule.items() if due <= now)
        if play is None:
            schedule = {due: row for due, row in schedule.items() if due > now}
            continue
        assert (np.diff(play.time_ns) > 0).all()
        assert play.time_ns[0] > now
        schedule = {int(due): row for due, row in zip(play.time_ns, play.position[:, 0], strict=True)}
    played += sorted(schedule.items())
    due = np.array([due for due, _ in played])
    rows = np.array([HOME[0], *(row for _, row in played)])
    assert (np.diff(due) >= DT).all(), "a step was played twice, or shortened"
    assert np.abs(np.diff(rows)).max() <= LIMITS.velocity[0] * DT / 1e9 + 1e-9


def test_the_contract_chooses_the_pace_and_settings_are_checked():
    assert isinstance(Pacing().pace(EE, 0), Synchronous)
    assert isinstance(Pacing().pace(SPEC, 0), Streaming)
    assert isinstance(Pacing("synchronous").pace(SPEC, 0), Synchronous)
    assert isinstance(Pacing("streaming").pace(EE, 0), Streaming)
    with pytest.raises(ValueError, match="execution is 'fast'; known are auto"):
        Pacing("fast")
    with pytest.raises(ValueError, match="'mean' is unknown"):
        Pacing(merge="mean")
    with pytest.raises(ValueError, match="every_steps is -1"):
        Pacing(every_steps=-1)
    with pytest.raises(ValueError, match="every_steps is 11; chunks have 10 steps"):
        Pacing(every_steps=11).pace(SPEC, 0)
    with pytest.raises(LimitsError, match="unknown"):
        Streaming(SPEC, LIMITS, "mean")
