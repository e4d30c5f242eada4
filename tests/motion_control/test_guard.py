"""Guard and smoothing behind the limiter: what is in the way slows the arm down before it stops it."""

import numpy as np
import pytest
from motion_control import LimitsError, Mode, MotionLimits, SafetyLimits, Setpoint, TargetRefusedError, WorkspaceBox
from motion_control.clearance import self_clearance, tool_pose
from motion_control.output import MotionOutput, jerk_limit
from motion_control.safety import FINGER_GIVE_M, SELF_DISTANCE_M
from piper_description import HOME_POSITION, PARK_POSITION
from piper_description.kinematics import tcp_position
from setpoint_rules import SetpointRules

DT = 0.005
LIMITS = MotionLimits.default()


def joints(**moves):
    out = np.zeros(7)
    for name, value in moves.items():
        out[int(name[1]) - 1] = value
    return out


def play(target, start=HOME_POSITION, ticks=600, safety=None, check=True):
    """Positions (T, 7) on the way to `target`, every one of them checked, and what held the arm back."""
    safety = safety or SafetyLimits()
    output = MotionOutput(LIMITS, safety, DT, start)
    rules = SetpointRules(LIMITS, safety, start)
    path, reasons = [np.array(start)], set()
    for _ in range(ticks):
        output.toward(target)
        setpoint = output.setpoint(Mode.HOLD, True)
        if setpoint.position is not path[-1] and check:
            rules.check(setpoint.position, setpoint.velocity)
        path.append(setpoint.position)
        reasons.add(output.held_back_by)
    return np.array(path), reasons - {""}, output


def speeds(path):
    return np.linalg.norm(np.diff(tcp_position(path[:, :6]), axis=0), axis=1) / DT


@pytest.mark.parametrize("limit", [0.1, 0.25])
def test_the_tool_keeps_its_speed_limit_and_uses_it(limit):
    path, reasons, _ = play(HOME_POSITION + joints(j1=1.0), ticks=900, safety=SafetyLimits(tcp_speed_m_s=limit))
    assert reasons == {"tool speed"}
    assert limit * 0.9 < np.median(speeds(path)[50:200]) <= speeds(path).max() <= limit
    assert np.allclose(path[-1], HOME_POSITION + joints(j1=1.0), atol=1e-9), "it gets there"


def test_joint_6_alone_is_no_motion_of_the_tool():
    path, reasons, _ = play(HOME_POSITION + joints(j6=1.5), ticks=300)
    assert not reasons and np.abs(np.diff(path[:, 5])).max() > 2.5 * DT


def test_the_fingers_slow_down_above_the_table_and_stop_on_it():
    path, reasons, output = play(HOME_POSITION + joints(j2=0.9))
    height = np.array([tool_pose(q.tolist()).fingers_z for q in path])
    assert "table" in reasons and output.at_rest
    assert -FINGER_GIVE_M - 1e-9 <= height.min() and height[-1] < 0.001
    falling = -np.diff(height) / DT
    near = falling[(height[1:] < 0.005) & (falling > 1e-6)]
    assert near.max() < 0.8 * falling.max(), "slower near the table"
    assert (height[1:] - height[:-1] <= 1e-6)[-300:].all(), "it does not bounce"


def test_a_table_can_be_lower_or_not_there():
    for table, lowest in ((-0.02, -0.022), (None, -0.03)):
        box = WorkspaceBox(lower=np.array([-0.8, -0.8, -0.5]), upper=np.array([0.8, 0.8, 0.95]))
        safety = SafetyLimits(workspace=box, table_z_m=table)
        path, _, _ = play(HOME_POSITION + joints(j2=0.9), safety=safety, ticks=800)
        heights = [tool_pose(q.tolist()).fingers_z for q in path]
        assert min(heights) == pytest.approx(lowest, abs=1e-3) if table is not None else min(heights) < lowest


@pytest.mark.parametrize(
    ("move", "face", "axis"),
    [({"j1": 1.2}, "workspace y", 1), ({"j3": 0.6}, "workspace z", 2), ({"j1": -1.2}, "workspace y", 1)],
)
def test_the_tool_stays_in_its_box(move, face, axis):
    box = WorkspaceBox(lower=np.array([0.1, -0.1, 0.05]), upper=np.array([0.35, 0.1, 0.4]))
    path, reasons, output = play(HOME_POSITION + joints(**move), safety=SafetyLimits(workspace=box))
    tcp = tcp_position(path[:, :6])
    assert face in reasons and output.at_rest
    assert (tcp >= box.lower - 1e-4).all() and (tcp <= box.upper + 1e-4).all()
    edge = min(abs(tcp[-1, axis] - box.lower[axis]), abs(tcp[-1, axis] - box.upper[axis]))
    assert edge < 0.004, "it goes as far as it may"


def test_links_slow_down_before_they_meet_and_move_apart_again():
    start = np.array([0.0, 1.46, -0.79, -0.51, 1.14, 0.3, 0.0])
    folded = np.array([0.0, 0.38, -0.16, -0.84, 1.15, 0.29, 0.02])
    path, reasons, output = play(folded, start=start, ticks=900)
    room = np.array([self_clearance(q.tolist()) for q in path]) - SELF_DISTANCE_M
    assert "own links" in reasons and output.at_rest
    assert -0.002 < room.min() and room[-1] < 0.01
    back, _, _ = play(start, start=path[-1], ticks=900)
    assert np.allclose(back[-1], start, atol=1e-6)


def test_an_arm_that_starts_outside_moves_inwards_only():
    box = WorkspaceBox(lower=np.array([0.1, -0.1, 0.05]), upper=np.array([0.35, 0.1, 0.4]))
    outside = HOME_POSITION + joints(j1=0.8)
    path, _, output = play(outside + joints(j1=0.3), start=outside, safety=SafetyLimits(workspace=box), ticks=100)
    assert (path == outside).all() and output.held_back_by == "workspace y"
    path, _, _ = play(HOME_POSITION, start=outside, safety=SafetyLimits(workspace=box))
    assert np.allclose(path[-1], HOME_POSITION, atol=1e-6)


def test_from_the_park_pose_the_arm_gets_home():
    there, _, _ = play(HOME_POSITION, start=PARK_POSITION, ticks=1500)
    assert np.allclose(there[-1], HOME_POSITION, atol=1e-6)


def test_motion_that_breaks_nothing_is_not_touched():
    path, reasons, _ = play(HOME_POSITION + joints(j1=0.05, j2=-0.05, j5=-0.1), safety=SafetyLimits(tcp_speed_m_s=3.0))
    free = SafetyLimits(tcp_speed_m_s=3.0, table_z_m=None)
    unguarded, _, _ = play(HOME_POSITION + joints(j1=0.05, j2=-0.05, j5=-0.1), safety=free)
    assert not reasons and (path == unguarded).all()


def test_smoothing_bounds_the_jerk_and_ends_where_the_limiter_does():
    path, _, output = play(HOME_POSITION + joints(j6=0.7), ticks=200)
    jerk = np.abs(np.diff(path, 3, axis=0)).max(0) / DT**3
    assert jerk[5] == pytest.approx(jerk_limit(LIMITS, DT)[5], rel=0.01) and jerk_limit(LIMITS, DT)[5] == 500.0
    assert np.allclose(path[-1], output.position, rtol=0.0, atol=1e-15) and output.at_rest


def test_only_the_output_makes_setpoints():
    with pytest.raises(TypeError, match="MotionOutput"):
        Setpoint(object(), HOME_POSITION, np.zeros(7), Mode.POLICY, True)
    setpoint = MotionOutput(LIMITS, SafetyLimits(), DT, HOME_POSITION).setpoint(Mode.HOLD, True)
    with pytest.raises(ValueError, match="read-only"):
        setpoint.position[0] = 9.0


@pytest.mark.parametrize("bad", [np.full(7, np.nan), np.array([np.inf] + [0.0] * 6), np.zeros(6)])
def test_a_target_that_is_no_target_moves_nothing(bad):
    output = MotionOutput(LIMITS, SafetyLimits(), DT, HOME_POSITION)
    with pytest.raises(TargetRefusedError, match="not moved"):
        output.toward(bad)
    assert (output.position == HOME_POSITION).all() and output.at_rest


def test_limits_that_make_no_sense_are_refused():
    for wrong, text in (({"tcp_speed_m_s": 0.0}, "tcp_speed_m_s is 0.0"), ({"table_z_m": 5.0}, "table_z_m is 5.0")):
        with pytest.raises(LimitsError, match=text):
            SafetyLimits(**wrong)
    with pytest.raises(LimitsError, match="tcp_speed_m_s is nan"):
        SafetyLimits(tcp_speed_m_s=float("nan"))
    with pytest.raises(TargetRefusedError, match="period"):
        MotionOutput(LIMITS, SafetyLimits(), 0.0, HOME_POSITION)
