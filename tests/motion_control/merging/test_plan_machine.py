"""The plan's invariants under random sequences of everything that can happen to it.

Whatever comes in: the executed step rises by one, nothing is executed twice, a chunk never makes the schedule end
earlier, what is refused changes nothing, and no executed row jumps.
"""

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from motion_control.merging import (
    ActionPlan,
    Crossfade,
    Replace,
    RtcPrefix,
    StepBounds,
    StepChunk,
    TemporalEnsemble,
)

LOWER, UPPER, MAX_STEP = np.array([-2.0, -1.0, 0.0]), np.array([2.0, 1.0, 0.07]), np.array([0.2, 0.05, np.inf])
BOUNDS = StepBounds(LOWER, UPPER, MAX_STEP)
STRATEGIES = st.sampled_from(
    (Replace(), Crossfade(1), Crossfade(6), TemporalEnsemble(0.1, (False, False, True)), RtcPrefix())
)
SEEDS = st.integers(0, 2**32 - 1)


def rows_of(seed, horizon):
    """Jumps about the whole range: worse than any policy."""
    return np.random.default_rng(seed).uniform(LOWER, UPPER, (horizon, 3))


class PlanMachine(RuleBasedStateMachine):
    @initialize(strategy=STRATEGIES, seed=SEEDS)
    def start(self, strategy, seed):
        self.strategy = strategy
        self.epoch, self.stamp, self.newest = 1, 0, 0
        self.last = rows_of(seed, 1)[0]
        self.plan = ActionPlan(BOUNDS, strategy, self.last)
        self.step = 0

    def state(self):
        promised = self.plan.commitment(1000)
        return self.plan.next_step, self.plan.remaining, promised.rows.tobytes()

    def merge_that_must_fail(self, chunk):
        before = self.state()
        assert not self.plan.merge(chunk).taken
        assert self.state() == before

    @rule(count=st.integers(1, 6))
    def execute(self, count):
        for _ in range(count):
            expected = self.plan.commitment(1)
            item = self.plan.take()
            if item is None:
                assert len(expected.rows) == 0
                return
            step, row = item
            assert step == self.step
            np.testing.assert_array_equal(row, expected.rows[0])
            assert (np.abs(row - self.last) <= MAX_STEP + 1e-12).all()
            assert (row >= LOWER).all() and (row <= UPPER).all()
            self.step, self.last = step + 1, row

    @rule(seed=SEEDS, horizon=st.integers(1, 16), delay=st.integers(0, 20), frozen=st.integers(0, 20))
    def chunk(self, seed, horizon, delay, frozen):
        self.stamp += 1
        delay = min(delay, self.step)
        rows = rows_of(seed, horizon)
        end = self.step + self.plan.remaining
        before = self.state()
        report = self.plan.merge(StepChunk(self.epoch, self.stamp, self.step - delay, rows, frozen))
        too_late = delay >= horizon or (isinstance(self.strategy, RtcPrefix) and delay > frozen)
        assert report.taken == (not too_late)
        assert report.executed == delay
        if report.taken:
            self.newest = self.stamp
        else:
            assert self.state() == before
        assert self.plan.next_step == self.step
        assert self.step + self.plan.remaining == (max(end, self.step - delay + horizon) if report.taken else end)

    @rule(seed=SEEDS, back=st.integers(0, 3))
    def old_chunk(self, seed, back):
        if self.newest:
            self.merge_that_must_fail(StepChunk(self.epoch, self.newest - back, self.step, rows_of(seed, 9), 99))

    @rule(seed=SEEDS, other=st.integers(0, 50))
    def chunk_of_another_episode(self, seed, other):
        if other != self.epoch:
            self.merge_that_must_fail(StepChunk(other, self.stamp + 1, self.step, rows_of(seed, 9), 99))

    @rule(seed=SEEDS, ahead=st.integers(1, 30))
    def chunk_of_the_future(self, seed, ahead):
        self.merge_that_must_fail(StepChunk(self.epoch, self.stamp + 1, self.step + ahead, rows_of(seed, 9), 99))

    @rule(seed=SEEDS, bad=st.sampled_from((np.nan, np.inf, -np.inf, 2.1, -5.0)))
    def chunk_with_one_bad_number(self, seed, bad):
        rows = rows_of(seed, 9)
        rows[seed % 9, seed % 3] = bad
        self.merge_that_must_fail(StepChunk(self.epoch, self.stamp + 1, self.step, rows, 99))

    @rule(seed=SEEDS)
    def new_episode(self, seed):
        self.epoch += 1
        self.stamp = self.newest = 0
        self.last = rows_of(seed, 1)[0]
        self.plan.begin(self.epoch, self.last)
        self.step = 0
        assert self.plan.remaining == 0

    @invariant()
    def the_plan_promises_only_what_it_may_do(self):
        promised = self.plan.commitment(1000).rows
        assert len(promised) == self.plan.remaining
        assert np.isfinite(promised).all()
        path = np.vstack([self.last, promised])
        assert (np.abs(np.diff(path, axis=0)) <= MAX_STEP + 1e-12).all()
        assert (promised >= LOWER).all() and (promised <= UPPER).all()


PlanMachine.TestCase.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
TestPlan = PlanMachine.TestCase
