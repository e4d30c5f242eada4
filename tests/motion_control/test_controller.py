"""Controller: every situation of the driver, one by one, with made-up time."""

import numpy as np
import pytest
from motion_control import (
    ArmController,
    Chunk,
    ChunkRefusedError,
    Feedback,
    Limiter,
    LimiterState,
    Mode,
    ModeRefusedError,
    MotionLimits,
    Timeouts,
    interpolate,
    setpoints,
)
from piper_description import HOME_POSITION

MS = 1_000_000
PERIOD = 5 * MS
LIMITS = MotionLimits.default()
TIMEOUTS = Timeouts(stale_ns=200 * MS, first_chunk_ns=1000 * MS, feedback_hold_ns=50 * MS, feedback_fault_ns=200 * MS)


class Arm:
    """A controller and a perfect arm that reports what it was sent one tick ago."""

    def __init__(self, start=HOME_POSITION):
        self.controller = ArmController(LIMITS, PERIOD, TIMEOUTS)
        self.now = 10**9
        self.position = np.array(start, dtype=float)
        self.torque_on, self.fault, self.talking = True, None, True
        self.feedback = None
        self.setpoint = None

    def tick(self, count=1, period=PERIOD):
        out = []
        for _ in range(count):
            self.now += period
            if self.talking:
                self.feedback = Feedback(self.position.copy(), self.now, self.torque_on, self.fault)
            self.setpoint = self.controller.tick(self.now, self.feedback)
            if self.setpoint.send:
                self.position = self.setpoint.position.copy()
            out.append(self.setpoint.position.copy())
        return np.array(out)

    def to_policy(self):
        self.tick()
        self.controller.enable(self.now)
        self.tick()
        self.controller.policy(True, self.now)
        return self

    def chunk(self, offset, times_ms=(50, 100)):
        waypoints = self.controller.tick(self.now, self.feedback).position + np.array(offset)
        return Chunk(self.now - 1, self.now + np.array(times_ms) * MS, np.broadcast_to(waypoints, (len(times_ms), 7)))

    def send(self, offset, times_ms=(50, 100)):
        self.controller.accept_chunk(self.chunk(offset, times_ms), self.now)

    @property
    def reason(self):
        return self.controller.modes.reason


def joint(index, value):
    out = np.zeros(7)
    out[index] = value
    return out


def test_starts_disabled_and_sends_nothing():
    arm = Arm()
    arm.tick(3)
    assert arm.setpoint.mode is Mode.DISABLED and not arm.setpoint.send


def test_first_setpoint_after_enable_is_the_measured_position():
    start = HOME_POSITION + joint(0, 0.7)
    arm = Arm(start)
    arm.tick(2)
    arm.controller.enable(arm.now)
    assert (arm.tick(50) == start).all()
    assert arm.setpoint.mode is Mode.HOLD and arm.setpoint.send


def test_enable_is_refused_with_the_reason():
    silent = Arm()
    with pytest.raises(ModeRefusedError, match="fresh feedback"):
        silent.controller.enable(0)
    for setting, message in [
        ({"torque_on": False}, "torque on all joints"),
        ({"fault": "joint2 Overcurrent"}, "joint2 Overcurrent"),
        ({"position": HOME_POSITION + joint(1, 3.0)}, "joint2 is measured"),
    ]:
        arm = Arm()
        for name, value in setting.items():
            setattr(arm, name, value)
        arm.tick()
        with pytest.raises(ModeRefusedError, match=message):
            arm.controller.enable(arm.now)
        assert arm.controller.mode is Mode.DISABLED


def test_a_chunk_moves_the_arm_to_its_last_waypoint():
    arm = Arm().to_policy()
    target = arm.position + joint(0, 0.1)
    arm.send(joint(0, 0.1))
    assert 0.0 < abs(arm.tick(10)[-1] - target).max() < 0.1
    arm.tick(49)
    assert np.allclose(arm.position, target, atol=1e-9)
    assert arm.controller.mode is Mode.POLICY
    assert arm.controller.counters.chunks_accepted == 1


def test_silence_after_the_chunk_ends_in_hold_and_the_arm_stays():
    arm = Arm().to_policy()
    arm.send(joint(0, 0.1))
    arm.tick((100 + 200) // 5)
    assert arm.controller.mode is Mode.POLICY
    arm.tick()
    assert arm.controller.mode is Mode.HOLD and "no new chunk" in arm.reason
    stands = arm.position.copy()
    assert (arm.tick(100) == stands).all() and arm.setpoint.send
    assert arm.controller.counters.stale_holds == 1


def test_policy_without_a_first_chunk_ends_in_hold():
    arm = Arm().to_policy()
    arm.tick(200)
    assert arm.controller.mode is Mode.POLICY
    arm.tick()
    assert arm.controller.mode is Mode.HOLD and "no chunk" in arm.reason


def test_chunks_are_refused_with_the_reason_and_change_nothing():
    arm = Arm()
    arm.tick()
    arm.controller.enable(arm.now)
    arm.tick()
    with pytest.raises(ChunkRefusedError, match="no authority: the arm is in HOLD"):
        arm.send(joint(0, 0.1))
    arm.controller.policy(True, arm.now)
    arm.send(joint(0, 0.2), times_ms=(50, 200))
    for offset, times, message in [
        (joint(0, 0.6), (50,), "joint1 starts 0.60 rad from its setpoint"),
        (joint(3, 90.0), (50,), "joint4 is asked to go"),
        (joint(0, 0.0), (-40, -20), "observation"),
        (joint(0, 0.0), (50, 31_000), "ends more than 30 s"),
    ]:
        with pytest.raises(ChunkRefusedError, match=message):
            arm.send(offset, times)
    assert arm.controller.counters.chunks_refused == 4
    future = Chunk(arm.now + 60 * MS, np.array([arm.now + 100 * MS]), arm.position[None])
    with pytest.raises(ChunkRefusedError, match="60 ms in the future"):
        arm.controller.accept_chunk(future, arm.now)
    arm.tick(78)
    assert arm.position[0] == pytest.approx(HOME_POSITION[0] + 0.2, abs=1e-3)


def test_waypoints_slightly_outside_are_clamped_and_counted():
    arm = Arm(HOME_POSITION + joint(4, LIMITS.upper[4] - 0.05 - HOME_POSITION[4])).to_policy()
    arm.send(joint(4, LIMITS.upper[4] + 0.05 - arm.position[4]))
    arm.tick(59)
    assert arm.position[4] == pytest.approx(LIMITS.upper[4])
    assert arm.controller.counters.points_clamped == 2


def test_hold_in_motion_brakes_within_limits():
    arm = Arm().to_policy()
    arm.send(joint(0, 0.4))
    arm.tick(12)
    speed = arm.setpoint.velocity[0]
    assert speed > 0.2
    arm.controller.hold()
    path = np.vstack([arm.position, arm.tick(60)])[:, 0]
    assert arm.controller.at_rest
    speeds = np.diff(path) / 0.005
    assert np.abs(np.diff(speeds)).max() <= 5.0 * 0.005 + 1e-9
    assert (np.diff(speeds[3:]) <= 1e-9).all(), "three ticks are left to smooth"
    top = speeds.max()
    assert path[-1] - path[0] == pytest.approx(top**2 / 10.0, abs=top * 0.020)


def test_estop_is_latched_and_stops_sending_once_the_arm_stands():
    arm = Arm().to_policy()
    arm.send(joint(0, 0.4))
    arm.tick(12)
    arm.controller.estop()
    assert arm.setpoint.send
    arm.tick(60)
    assert arm.setpoint.mode is Mode.ESTOP and arm.controller.at_rest and not arm.setpoint.send
    for request in (
        lambda: arm.controller.policy(True, arm.now),
        lambda: arm.controller.enable(arm.now),
        lambda: arm.controller.hold(),
        lambda: arm.controller.go_home(arm.now),
        lambda: arm.controller.disable(),
    ):
        with pytest.raises(ModeRefusedError):
            request()
    arm.controller.clear_fault(arm.now)
    stands = arm.position.copy()
    assert (arm.tick(5) == stands).all()
    assert arm.setpoint.mode is Mode.HOLD and arm.setpoint.send


def test_clearing_waits_for_rest_and_for_the_cause_to_go():
    arm = Arm().to_policy()
    arm.send(joint(0, 0.4))
    arm.tick(12)
    arm.fault = "arm status COLLISION"
    arm.tick()
    assert arm.controller.mode is Mode.FAULT and arm.reason == "arm status COLLISION"
    with pytest.raises(ModeRefusedError, match="COLLISION"):
        arm.controller.clear_fault(arm.now)
    arm.fault = None
    arm.tick()
    with pytest.raises(ModeRefusedError, match="at rest"):
        arm.controller.clear_fault(arm.now)
    arm.tick(60)
    arm.controller.clear_fault(arm.now)
    assert arm.controller.mode is Mode.HOLD


def test_lost_torque_is_a_fault_that_clears_to_disabled():
    arm = Arm().to_policy()
    arm.torque_on = False
    arm.tick()
    assert arm.controller.mode is Mode.FAULT and "torque off" in arm.reason and not arm.setpoint.send
    arm.controller.clear_fault(arm.now)
    assert arm.controller.mode is Mode.DISABLED
    arm.position = HOME_POSITION + joint(1, 0.3)
    arm.torque_on = True
    arm.tick()
    arm.controller.enable(arm.now)
    assert (arm.tick(3) == HOME_POSITION + joint(1, 0.3)).all()


def test_feedback_silence_means_hold_then_fault():
    arm = Arm().to_policy()
    arm.talking = False
    arm.tick(10)
    assert arm.controller.mode is Mode.POLICY
    arm.tick(1)
    assert arm.controller.mode is Mode.HOLD and "no feedback" in arm.reason
    arm.tick(30)
    assert arm.controller.mode is Mode.FAULT
    with pytest.raises(ModeRefusedError, match="fresh feedback"):
        arm.controller.clear_fault(arm.now)


def test_feedback_that_is_not_finite_counts_as_silence():
    arm = Arm().to_policy()
    arm.position = np.full(7, np.nan)
    before = arm.setpoint.position
    for _ in range(12):
        arm.now += PERIOD
        setpoint = arm.controller.tick(arm.now, Feedback(np.full(7, np.nan), arm.now, True))
        assert (setpoint.position == before).all()
    assert arm.controller.mode is Mode.HOLD


def test_home_is_reached_slowly_and_only_from_hold():
    arm = Arm(HOME_POSITION - joint(0, 1.0))
    with pytest.raises(ModeRefusedError, match="needs mode HOLD"):
        arm.controller.go_home(arm.now)
    arm.tick()
    arm.controller.enable(arm.now)
    arm.tick()
    arm.controller.go_home(arm.now)
    assert arm.controller.homing and not arm.controller.at_rest and arm.reason == "going home"
    path = arm.tick(450)
    assert np.allclose(path[-1], HOME_POSITION, atol=1e-9)
    assert np.abs(np.diff(path[:, 0])).max() <= 1.3 * 0.2 * 3.0 * 0.005
    assert arm.reason == "at home" and arm.controller.at_rest


def test_hold_interrupts_the_way_home():
    arm = Arm(HOME_POSITION - joint(0, 1.0))
    arm.tick()
    arm.controller.enable(arm.now)
    arm.tick()
    arm.controller.go_home(arm.now)
    arm.tick(100)
    with pytest.raises(ModeRefusedError, match="at rest"):
        arm.controller.disable()
    arm.controller.hold()
    arm.tick(100)
    assert arm.controller.at_rest and abs(arm.position[0] - HOME_POSITION[0]) > 0.2
    arm.controller.disable()
    arm.tick()
    assert arm.setpoint.mode is Mode.DISABLED and not arm.setpoint.send


def test_a_stall_never_ends_in_a_burst():
    arm = Arm().to_policy()
    arm.send(joint(0, 0.45), times_ms=(50, 150))
    arm.tick(4)
    last = arm.position.copy()
    velocity = arm.setpoint.velocity.copy()
    arm.tick(1, period=95 * MS)
    assert np.abs(arm.position - last).max() <= (velocity[0] + 0.025) * 0.005 + 1e-12
    moved = arm.position.copy()
    arm.tick(3, period=PERIOD // 4)
    assert np.abs(arm.position - moved).max() <= (velocity[0] + 0.05) * 0.005 + 1e-12, "two ticks within half a period"


def smoothed(before, rows):
    """Mean of every row and the three before it, as the driver sends it."""
    rows = np.vstack([before[-3:], rows])
    pairs = rows[:-1] + rows[1:]
    return (pairs[:-2] + pairs[2:]) * 0.25


def test_the_drivers_ticks_give_the_setpoints_of_the_batched_form():
    """To the bit, but for the smoothing: four ticks wide, and gone once the arm stands."""
    rng = np.random.default_rng(11)
    step_ticks, settle_ticks, chunks, horizon = 10, 16, 5, 4
    arm = Arm().to_policy()
    limiter = Limiter(LIMITS, 0.005)
    state = LimiterState.at_rest(np.tile(HOME_POSITION, (3, 1)))
    before = np.tile(HOME_POSITION, (3, 1))
    for _ in range(chunks):
        waypoints = state.position[0] + np.cumsum(rng.normal(size=(horizon, 7)) * 0.006, axis=0)
        waypoints[:, 6] = rng.uniform(0.0, 0.07, horizon)
        targets = interpolate(state.position, np.tile(waypoints, (3, 1, 1)), step_ticks, settle_ticks)
        batched, state = setpoints(limiter, state, targets)
        times = arm.now + np.arange(1, horizon + 1) * step_ticks * PERIOD
        arm.controller.accept_chunk(Chunk(arm.now - 1, times, waypoints), arm.now)
        ticked = arm.tick(horizon * step_ticks + settle_ticks)
        assert (ticked == smoothed(before, batched[1])).all() and (batched[0] == batched[2]).all()
        assert np.abs(ticked - batched[1]).max() <= 0.0075 * 3.0
        before = batched[1]
    assert (ticked[-3:, :6] == batched[1][-1, :6]).all(), "the arm stood before it looked again"
    assert arm.controller.mode is Mode.POLICY and arm.controller.counters.ticks_guarded == 0
