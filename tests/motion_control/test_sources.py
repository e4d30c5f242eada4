"""Those who move the arm: the policy with its ladder of starvation, a person, and moves to a pose."""

import numpy as np
import pytest
from motion_control import (
    ArmController,
    Chunk,
    Feedback,
    Mode,
    ModeRefusedError,
    MotionLimits,
    SafetyLimits,
    TargetRefusedError,
    TeleopCommand,
)
from motion_control.smooth_stop import SmoothStop
from piper_description import HOME_POSITION, PARK_POSITION

MS = 1_000_000
PERIOD = 5 * MS
LIMITS = MotionLimits.default()


def joint1(value):
    return HOME_POSITION + np.array([value, 0, 0, 0, 0, 0, 0])


class Arm:
    """A controller that holds a perfect arm."""

    def __init__(self, start=HOME_POSITION, timeouts=None, safety=None):
        self.controller = ArmController(LIMITS, PERIOD, timeouts, safety)
        self.now, self.position = 10**9, np.array(start)
        self.tick()
        self.controller.enable(self.now)
        self.tick()

    def tick(self, count=1):
        path = []
        for _ in range(count):
            self.now += PERIOD
            self.setpoint = self.controller.tick(self.now, Feedback(self.position, self.now, True))
            self.position = self.setpoint.position
            path.append(self.position)
        return np.array(path)

    @property
    def mode(self):
        return self.controller.mode

    @property
    def reason(self):
        return self.controller.modes.reason

    def stream(self, goals, step_ms=50, continues=True):
        times = self.now + step_ms * MS * np.arange(1, len(goals) + 1)
        chunk = Chunk(self.now - 1, times, np.stack([joint1(goal) for goal in goals]), continues=continues)
        self.controller.accept_chunk(chunk, self.now)

    def command(self, goal, age_ms=0):
        self.controller.accept_teleop(TeleopCommand(self.now - age_ms * MS, joint1(goal)), self.now)


@pytest.fixture
def arm():
    return Arm()


def test_a_chunk_that_nothing_continues_runs_on_then_stops_smoothly_then_holds(arm):
    arm.controller.policy(True, arm.now)
    arm.stream([0.01, 0.02, 0.03, 0.04])
    arm.tick(40)  # 200 ms: the last waypoint
    assert arm.position[0] == pytest.approx(0.04, abs=0.005)
    on = arm.tick(20)  # 100 ms more: on as before
    assert np.allclose(np.diff(on[:, 0]) / 0.005, 0.2, atol=0.02) and arm.mode is Mode.POLICY
    stop = []
    while arm.mode is Mode.POLICY:
        stop.append(arm.tick()[0, 0])
        assert len(stop) < 60
    speed = np.diff([on[-1, 0], *stop]) / 0.005
    assert (np.diff(speed)[3:] <= 1e-9).all() and abs(speed[-1]) < 1e-3, "it slows down and stands"
    steepest = np.abs(np.diff(speed)).max() / 0.005
    assert steepest <= 0.95 * LIMITS.acceleration[0], "more gently than it could brake"
    assert arm.mode is Mode.HOLD and "no chunk continued the last one" in arm.reason
    assert arm.controller.counters.starved == 1 and arm.controller.counters.stale_holds == 0
    assert (arm.tick(50) == arm.position).all()


@pytest.mark.parametrize("late_ms", [40, 90, 160])
def test_a_chunk_that_comes_late_takes_over_from_any_rung(arm, late_ms):
    arm.controller.policy(True, arm.now)
    arm.stream([0.01, 0.02])
    arm.tick(20 + late_ms // 5)
    assert arm.mode is Mode.POLICY
    arm.stream([arm.position[0] + 0.01, arm.position[0] + 0.02], continues=False)
    goal = arm.position[0] + 0.02
    arm.tick(60)
    assert arm.mode is Mode.POLICY and arm.position[0] == pytest.approx(goal, abs=1e-6)


@pytest.mark.parametrize(("goals", "continues"), [([0.02, 0.04], False), ([0.02, 0.04, 0.04], True)])
def test_a_chunk_that_ends_at_rest_just_stands_until_it_is_stale(arm, goals, continues):
    arm.controller.policy(True, arm.now)
    arm.stream(goals, continues=continues)
    arm.tick(50 * len(goals) // 5 + 20)
    assert np.allclose(arm.tick(150), joint1(0.04), rtol=0.0, atol=1e-12)
    assert arm.mode is Mode.POLICY
    arm.tick(60)
    assert arm.mode is Mode.HOLD and "no new chunk for 1.0" in arm.reason
    assert arm.controller.counters.stale_holds == 1 and arm.controller.counters.starved == 0


def test_the_smooth_stop_is_the_one_with_the_least_jerk():
    stop = SmoothStop([1.0, -0.5, 0, 0, 0, 0, 0.1], LIMITS, 0)
    times = np.arange(0, 400 * MS, MS // 10)
    path = np.array([stop.velocity(int(t)) for t in times])
    assert (path[0] == [1.0, -0.5, 0, 0, 0, 0, 0.1]).all() and not path[-1].any()
    moving = path[:, 0] > 0
    assert np.allclose(path[moving, 1] / path[moving, 0], -0.5)
    deceleration = -np.diff(path[:, 0]) / 1e-4
    assert deceleration.max() == pytest.approx(0.9 * LIMITS.acceleration[0], rel=1e-3)

    def cost(velocity):
        return float((np.diff(velocity, 2) ** 2).sum())

    n = int(moving.sum()) + 1
    least, s = cost(path[:n, 0]), np.linspace(0, 1, n)
    for bump in (s**2 * (1 - s) ** 2, s**2 * (1 - s) ** 3, -(s**3) * (1 - s) ** 2):
        assert cost(path[:n, 0] + 0.05 * bump) > least, "another way to stop in the same time has less jerk"


def test_a_person_moves_the_arm_as_long_as_commands_come(arm):
    arm.controller.teleop(True, arm.now)
    for i in range(40):
        arm.command(0.002 * i)
        arm.tick(2)
    assert arm.mode is Mode.TELEOP and arm.position[0] == pytest.approx(0.078, abs=0.02)
    silent_since = arm.now - 2 * PERIOD
    while arm.mode is Mode.TELEOP:
        arm.tick()
    assert arm.now - silent_since <= 50 * MS + PERIOD, "the dead man's time"
    assert arm.mode is Mode.HOLD and "silent for" in arm.reason
    arm.tick(60)
    assert arm.controller.at_rest and arm.controller.counters.teleop_accepted == 40


def test_teleop_that_never_sends_anything_ends_in_hold(arm):
    arm.controller.teleop(True, arm.now)
    assert (arm.tick(200) == HOME_POSITION).all() and arm.mode is Mode.TELEOP
    arm.tick()
    assert arm.mode is Mode.HOLD and "sent no command for 1.0 s" in arm.reason


def test_commands_are_refused_with_the_reason_and_change_nothing(arm):
    with pytest.raises(TargetRefusedError, match="no authority: the arm is in HOLD"):
        arm.command(0.0)
    arm.controller.teleop(True, arm.now)
    for goal, age_ms, message in [
        (0.0, 60, "60 ms old"),
        (0.0, -30, "-30 ms old"),
        (0.7, 0, "asked to jump by 0.70 rad"),
        (90.0, 0, "outside its limits"),
    ]:
        with pytest.raises(TargetRefusedError, match=message):
            arm.command(goal, age_ms)
    for bad in (np.full(7, np.nan), np.zeros(6), "home"):
        with pytest.raises(TargetRefusedError, match="7 "):
            TeleopCommand(arm.now, bad)
    arm.command(0.01)
    with pytest.raises(TargetRefusedError, match="not newer"):
        arm.command(0.02)
    assert arm.controller.counters.teleop_refused == 6 and arm.controller.counters.teleop_accepted == 1


def test_a_person_takes_over_from_the_policy_without_a_jerk(arm):
    arm.controller.policy(True, arm.now)
    arm.stream([0.05, 0.1, 0.15])
    before = arm.tick(15)
    arm.controller.teleop(True, arm.now)
    path = [*before]
    for _ in range(30):
        arm.command(before[-1, 0])
        path.extend(arm.tick())
    assert arm.mode is Mode.TELEOP
    acceleration = np.diff(np.array(path)[:, 0], 2) / 0.005**2
    assert np.abs(acceleration).max() <= LIMITS.acceleration[0] * (1 + 1e-6)
    with pytest.raises(ModeRefusedError, match="'policy' needs mode HOLD"):
        arm.controller.policy(True, arm.now)
    arm.controller.teleop(False, arm.now)
    assert arm.mode is Mode.HOLD and arm.reason == "teleop ended"


def test_park_is_reached_slowly_with_little_jerk():
    arm = Arm()
    arm.controller.go_park(arm.now)
    assert arm.controller.homing and arm.reason == "going to park"
    path = [arm.position, *arm.tick(700)]
    assert arm.reason == "at park" and np.allclose(arm.position, PARK_POSITION, atol=1e-6)
    speed = np.abs(np.diff(path, axis=0)) / 0.005
    assert (speed.max(0) <= 0.2 * LIMITS.velocity * 1.6).all()


def test_a_move_that_the_guard_stops_ends_and_says_why():
    arm = Arm(safety=SafetyLimits(table_z_m=0.3))
    arm.controller.go_park(arm.now)
    arm.tick(1500)
    assert not arm.controller.homing and arm.mode is Mode.HOLD
    assert arm.reason == "held back by table on the way"
