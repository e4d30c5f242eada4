"""The law for one arm: the bits of the batched one, and braking."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from motion_control import Limiter, LimiterState, MotionLimits
from motion_control.arm_limiter import ArmLimiter

DT = 0.005
LIMITS = MotionLimits.default()
ONE, MANY = ArmLimiter(LIMITS, DT), Limiter(LIMITS, DT)


def random_state(rng):
    """A state from which the arm can still stop: reached by the batched limiter."""
    state = LimiterState.at_rest(rng.uniform(LIMITS.lower, LIMITS.upper))
    for _ in range(int(rng.integers(0, 40))):
        state = MANY.step(state, rng.uniform(LIMITS.lower - 1.0, LIMITS.upper + 1.0))
    return state


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), spread=st.sampled_from([1e-6, 0.01, 0.3, 9.0]))
def test_one_arm_gets_the_bits_of_the_batch(seed, spread):
    rng = np.random.default_rng(seed)
    state = random_state(rng)
    q, v = state.position.tolist(), state.velocity.tolist()
    for _ in range(20):
        target = state.position + rng.normal(size=7) * spread
        state = MANY.step(state, target)
        v = ONE.toward(q, v, target.tolist())
        q = ONE.advance(q, [x * DT for x in v])
        assert (state.position == q).all() and (state.velocity == v).all()


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_braking_ends_where_it_was_foreseen_and_inside_the_limits(seed):
    state = random_state(np.random.default_rng(seed))
    q, v = state.position.tolist(), state.velocity.tolist()
    middle, rest, half = ONE.braking_path(q, v)
    ticks = 0
    while any(v):
        before, v = v, ONE.brake(v)
        assert (np.abs(np.subtract(v, before)) <= LIMITS.acceleration * DT * (1 + 1e-9)).all()
        q = ONE.advance(q, [x * DT for x in v])
        ticks += 1
        if ticks == half:
            assert np.allclose(q[:6], middle, atol=1e-12)
    assert np.allclose(q[:6], rest, atol=1e-12) and ticks <= 122
    assert (LIMITS.outside(np.array(q)) == 0.0).all()


def test_brakes_from_full_speed_in_the_exact_distance():
    q, v = [0.0] * 7, LIMITS.velocity.tolist()
    _, rest, half = ONE.braking_path(q, v)
    speed, a = LIMITS.velocity[0], LIMITS.acceleration[0]
    assert rest[0] == pytest.approx(speed * speed / (2 * a) - speed * DT / 2, abs=1e-9)
    assert half == pytest.approx(speed / (a * DT) / 2, abs=1)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), share=st.floats(0, 1))
def test_between_two_allowed_velocities_the_arm_can_still_stop_inside_the_limits(seed, share):
    """What lets the guard take any velocity between braking and the wanted one."""
    rng = np.random.default_rng(seed)
    state = random_state(rng)
    q, v = state.position.tolist(), state.velocity.tolist()
    wanted, braking = ONE.toward(q, v, rng.uniform(-9, 9, 7).tolist()), ONE.brake(v)
    mixed = [b + share * (w - b) for b, w in zip(braking, wanted, strict=True)]
    following = np.array(q) + np.array(mixed) * DT
    while any(mixed):
        mixed = ONE.brake(mixed)
        following = following + np.array(mixed) * DT
    assert (LIMITS.outside(following) <= 1e-12).all()


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_a_wanted_velocity_slows_down_before_a_position_limit(seed):
    rng = np.random.default_rng(seed)
    state = random_state(rng)
    q, v = state.position.tolist(), state.velocity.tolist()
    wanted = (np.sign(rng.normal(size=7)) * LIMITS.velocity).tolist()
    for _ in range(300):
        before, v = v, ONE.at_velocity(q, v, wanted)
        assert (np.abs(v) <= LIMITS.velocity).all()
        assert (np.abs(np.subtract(v, before)) <= LIMITS.acceleration * DT * (1 + 1e-9)).all()
        free = [x + y * DT for x, y in zip(q, v, strict=True)]
        q = ONE.advance(q, [x * DT for x in v])
        assert np.allclose(free, q, atol=1e-12), "ran into the limit instead of slowing down"


def test_a_start_outside_the_limits_moves_only_inwards():
    q, v = np.where(np.arange(7) < 6, LIMITS.upper + 0.05, LIMITS.upper).tolist(), [0.0] * 7
    for _ in range(300):
        v = ONE.toward(q, v, (LIMITS.upper + 1.0).tolist())
        before, q = q, ONE.advance(q, [x * DT for x in v])
        assert (np.array(q) - before <= 1e-12).all()
    assert np.allclose(q, LIMITS.upper)
