"""The invariant of what goes out, over random situations: some 2,000 in the quick suite, 100,000 in the slow one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from motion_control import (
    ArmController,
    Chunk,
    ChunkRefusedError,
    Feedback,
    Limiter,
    LimiterState,
    Mode,
    MotionLimits,
    SafetyLimits,
    TargetRefusedError,
    TeleopCommand,
    Timeouts,
)
from motion_control.arm_limiter import ArmLimiter
from motion_control.output import MotionOutput
from motion_control.smooth_stop import SmoothStop
from piper_description import HOME_POSITION
from setpoint_rules import DT, SetpointRules

MS = 1_000_000
PERIOD = 5 * MS
LIMITS = MotionLimits.default()
SEEDS = st.integers(0, 2**32 - 1)


def clear_start(rng, safety):
    """Rules at a pose that breaks none of them."""
    while True:
        anywhere = rng.uniform(LIMITS.lower, LIMITS.upper)
        q = anywhere if rng.random() < 0.5 else HOME_POSITION + rng.normal(size=7) * 0.3
        rules = SetpointRules(LIMITS, safety, np.clip(q, LIMITS.lower, LIMITS.upper))
        if (rules.worst_here <= 0.0).all():
            return rules


def any_targets_stops_and_brakes(seed, spread, tcp_speed):
    rng = np.random.default_rng(seed)
    safety = SafetyLimits(tcp_speed_m_s=tcp_speed)
    rules = clear_start(rng, safety)
    output = MotionOutput(LIMITS, safety, DT, rules.position)
    every, doing, stop = int(rng.integers(5, 40)), "go", None
    for tick in range(80):
        if tick % every == 0:
            target, stop = output.position + rng.normal(size=7) * spread, None
            doing = rng.choice(["go", "go", "go", "brake", "stop"])
        if doing == "go":
            output.toward(target)
        elif doing == "brake":
            output.brake()
        else:
            stop = stop or SmoothStop(output.velocity.tolist(), LIMITS, tick * PERIOD)
            output.at_velocity(stop.velocity(tick * PERIOD))
        setpoint = output.setpoint(Mode.HOLD, True)
        rules.check(setpoint.position, setpoint.velocity, geometry=tick % 3 == 0)
    for _ in range(140):
        output.brake()
    assert output.at_rest
    assert (rules.breaches(output.position) <= 0.0035).all(), "braking led into something"


def streams_of_chunks(seed, spread, continues):
    """Chunks that are late, early, short or missing: on the ladder, too, everything is kept, and it ends in HOLD."""
    rng = np.random.default_rng(seed)
    safety = SafetyLimits()
    controller = ArmController(LIMITS, PERIOD, Timeouts(stale_ns=300 * MS, first_chunk_ns=300 * MS), safety)
    rules, now = SetpointRules(LIMITS, safety, HOME_POSITION), 10**12
    setpoint = controller.tick(now, Feedback(HOME_POSITION, now, True))
    controller.enable(now)
    controller.policy(True, now)
    next_ns, last_ns = now, None
    for tick in range(60):
        now += PERIOD
        if now >= next_ns:
            horizon = int(rng.integers(1, 5))
            times = now - int(rng.integers(0, 30)) * MS + np.cumsum(rng.integers(5, 60, horizon)) * MS
            waypoints = setpoint.position + np.cumsum(rng.normal(size=(horizon, 7)) * spread, axis=0)
            try:
                controller.accept_chunk(Chunk(now - 40 * MS, times, waypoints, continues=continues), now)
                last_ns = int(times[-1])
            except ChunkRefusedError:
                pass
            next_ns = now + int(rng.integers(10, 400)) * MS
        setpoint = controller.tick(now, Feedback(setpoint.position, now, True))
        rules.check(setpoint.position, setpoint.velocity, geometry=tick % 3 == 0)
        if controller.mode is not Mode.POLICY:
            break
        if last_ns is not None:
            assert now - last_ns <= 300 * MS + PERIOD, "goes on without a policy"


def what_is_no_chunk_and_no_command(seed, kind, bad):
    rng = np.random.default_rng(seed)
    controller = ArmController(LIMITS, PERIOD)
    now = 10**12
    controller.tick(now, Feedback(HOME_POSITION, now, True))
    controller.enable(now)
    horizon = int(rng.integers(1, 20))
    times, waypoints = now + np.arange(1, horizon + 1) * 50 * MS, np.tile(HOME_POSITION, (horizon, 1))
    if kind == "value":
        waypoints[rng.integers(horizon), rng.integers(7)] = bad
    elif kind == "shape":
        waypoints = [waypoints[:, :6], waypoints[0], waypoints[None], waypoints[:0]][rng.integers(4)]
    elif kind == "time":
        times = [times[::-1] - 10**12, times - 60_000 * MS, times + 60_000 * MS, times[:-1], times * 1.0][
            rng.integers(5)
        ]
    else:
        waypoints = waypoints + rng.choice([-1, 1]) * (4.0 + 90.0 * rng.random(7))
    controller.policy(True, now)
    with pytest.raises(ChunkRefusedError):
        controller.accept_chunk(Chunk(now - 1, times, waypoints), now)
    controller.teleop(True, now)
    if kind != "time":
        with pytest.raises(TargetRefusedError):
            row = waypoints if np.ndim(waypoints) != 2 or not len(waypoints) else waypoints[-1]
            if kind == "value":
                row = np.where(np.arange(7) == rng.integers(7), bad, HOME_POSITION)
            controller.accept_teleop(TeleopCommand(now, row if kind != "shape" else np.ones(6)), now)
    for _ in range(3):
        now += PERIOD
        assert (controller.tick(now, Feedback(HOME_POSITION, now, True)).position == HOME_POSITION).all()


def one_arm_and_the_batch(seed, spread):
    rng = np.random.default_rng(seed)
    one, many = ArmLimiter(LIMITS, DT), Limiter(LIMITS, DT)
    state = LimiterState.at_rest(rng.uniform(LIMITS.lower - 0.02, LIMITS.upper + 0.02))
    q, v = state.position.tolist(), state.velocity.tolist()
    for _ in range(12):
        target = state.position + rng.normal(size=7) * spread
        state = many.step(state, target)
        v = one.toward(q, v, target.tolist())
        q = one.advance(q, [x * DT for x in v])
        assert (state.position == q).all() and (state.velocity == v).all()


PROPERTIES = {
    any_targets_stops_and_brakes: (
        {"seed": SEEDS, "spread": st.sampled_from([0.02, 0.3, 3.0]), "tcp_speed": st.sampled_from([0.1, 0.25, 1.0])},
        300,
        20_000,
    ),
    streams_of_chunks: (
        {"seed": SEEDS, "spread": st.sampled_from([0.005, 0.05, 0.3]), "continues": st.booleans()},
        300,
        20_000,
    ),
    what_is_no_chunk_and_no_command: (
        {
            "seed": SEEDS,
            "kind": st.sampled_from(["value", "shape", "time", "unit"]),
            "bad": st.sampled_from([np.nan, np.inf, -np.inf]),
        },
        700,
        30_000,
    ),
    one_arm_and_the_batch: ({"seed": SEEDS, "spread": st.sampled_from([1e-6, 0.01, 0.3, 9.0])}, 700, 30_000),
}


def hold(check, cases):
    settings(max_examples=cases, deadline=None, database=None)(given(**PROPERTIES[check][0])(check))()


@pytest.mark.parametrize("check", PROPERTIES, ids=lambda check: check.__name__)
def test_property(check):
    hold(check, PROPERTIES[check][1])


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("check", PROPERTIES, ids=lambda check: check.__name__)
def test_property_in_many_cases(check):
    hold(check, PROPERTIES[check][2])
