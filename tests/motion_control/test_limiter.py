"""Limiter: the invariant under any targets, convergence, braking, and one arm equal to many."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from motion_control import Limiter, LimiterState, MotionLimits, TargetRefusedError, setpoints
from piper_description import HOME_POSITION

DT = 0.005
LIMITS = MotionLimits.default()
LIMITER = Limiter(LIMITS, DT)


def assert_within_limits(positions, velocities, limits=LIMITS, dt=DT):
    """The invariant over consecutive ticks (T, ..., 7), the first row being the start."""
    assert np.isfinite(positions).all() and np.isfinite(velocities).all()
    assert (np.abs(np.diff(positions, axis=0)) <= limits.velocity * dt + 1e-12).all()
    assert (np.abs(velocities) <= limits.velocity + 1e-12).all()
    assert (np.abs(np.diff(velocities, axis=0)) <= limits.acceleration * dt * (1 + 1e-9)).all()
    assert (positions >= limits.lower).all() and (positions <= limits.upper).all()
    assert np.allclose(np.diff(positions, axis=0), velocities[1:] * dt, atol=1e-12)


def play(targets, start, limiter=LIMITER):
    states = [start]
    for target in targets:
        states.append(limiter.step(states[-1], target))
    return np.stack([s.position for s in states]), np.stack([s.velocity for s in states])


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), hold_ticks=st.integers(1, 200), spread=st.sampled_from([0.01, 0.3, 2.0, 1e6]))
def test_random_targets_never_breach_a_limit(seed, hold_ticks, spread):
    rng = np.random.default_rng(seed)
    arms, ticks = 32, 400
    start = rng.uniform(LIMITS.lower, LIMITS.upper, (arms, 7))
    targets = np.repeat(rng.normal(size=(ticks // hold_ticks + 1, arms, 7)) * spread, hold_ticks, axis=0)[:ticks]
    assert_within_limits(*play(targets, LimiterState.at_rest(start)))


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), dt=st.floats(0.001, 0.1), acceleration=st.floats(0.1, 100.0))
def test_other_periods_and_accelerations_never_breach_a_limit(seed, dt, acceleration):
    rng = np.random.default_rng(seed)
    limits = MotionLimits(LIMITS.lower, LIMITS.upper, LIMITS.velocity, np.full(7, acceleration))
    targets = rng.choice([-9.0, 9.0, 0.05], size=(200, 8, 7))
    start = LimiterState.at_rest(rng.uniform(limits.lower, limits.upper, (8, 7)))
    assert_within_limits(*play(targets, start, Limiter(limits, dt)), limits, dt)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_reaches_a_constant_target_without_overshoot_or_chatter(seed):
    rng = np.random.default_rng(seed)
    start, target = rng.uniform(LIMITS.lower, LIMITS.upper, (2, 16, 7))
    distance = np.abs(target - start)
    time_s = distance / LIMITS.velocity + LIMITS.velocity / LIMITS.acceleration + 0.05
    positions, velocities = play([target] * int(time_s.max() / DT), LimiterState.at_rest(start))
    sign = np.sign(target - start)
    assert (((target - positions) * sign) >= -1e-12).all(), "overshoot"
    assert (np.diff(positions, axis=0) * sign >= -1e-12).all(), "moved away from the target"
    assert np.abs(positions[-1] - target).max() < 1e-12
    assert (velocities[-1] == 0.0).all() or np.abs(velocities[-3:]).max() < 1e-9


def test_a_start_outside_the_limits_moves_only_inwards():
    start = np.where(np.arange(7) < 6, LIMITS.upper + 0.05, LIMITS.upper)
    positions, _ = play([LIMITS.upper + 1.0] * 200, LimiterState.at_rest(start))
    assert (np.diff(positions, axis=0) <= 1e-12).all()
    assert np.allclose(positions[-1], LIMITS.upper)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_targets_that_are_not_finite_are_refused(bad):
    target = HOME_POSITION.copy()
    target[3] = bad
    with pytest.raises(TargetRefusedError, match="not finite"):
        LIMITER.step(LimiterState.at_rest(HOME_POSITION), target)


def test_a_period_that_is_not_positive_is_refused():
    with pytest.raises(TargetRefusedError, match="period"):
        Limiter(LIMITS, 0.0)


def test_many_arms_and_one_arm_get_the_same_bits():
    rng = np.random.default_rng(7)
    start = rng.uniform(LIMITS.lower, LIMITS.upper, (5, 11, 7))
    targets = rng.uniform(LIMITS.lower - 0.3, LIMITS.upper + 0.3, (5, 11, 80, 7))
    together, last = setpoints(LIMITER, LimiterState.at_rest(start), targets)
    assert together.shape == (5, 11, 80, 7)
    for index in np.ndindex(5, 11):
        alone, state = setpoints(LIMITER, LimiterState.at_rest(start[index]), targets[index])
        assert (alone == together[index]).all()
        assert (state.velocity == last.velocity[index]).all()


def test_a_step_is_cheap():
    state, target = LimiterState.at_rest(HOME_POSITION), HOME_POSITION * 0.9
    times = []
    for _ in range(2000):
        begin = time.perf_counter()
        LIMITER.step(state, target)
        times.append(time.perf_counter() - begin)
    assert np.median(times) < 200e-6, f"a step takes {np.median(times) * 1e6:.0f} us"
