"""Action space: waypoints reach the accumulated TCP targets, and bad input is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from motion_control import ActionRefusedError, MotionLimits, WorkspaceBox, decode_ee_delta_position
from piper_description import HOME_POSITION, R_BASE_TOOL_HOME, tcp_pose

BOX = WorkspaceBox(np.array([0.15, -0.2, 0.01]), np.array([0.45, 0.2, 0.35]))
LIMITS = MotionLimits.default()


def decode(actions, q_start=HOME_POSITION, box=BOX):
    return decode_ee_delta_position(actions, q_start, R_BASE_TOOL_HOME, box)


def angle_between(R_a, R_b):
    cos = (np.trace(R_a @ np.swapaxes(R_b, -1, -2), axis1=-2, axis2=-1) - 1) / 2
    return np.arccos(np.clip(cos, -1, 1))


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_waypoints_reach_the_accumulated_targets(seed):
    rng = np.random.default_rng(seed)
    actions = np.concatenate([rng.uniform(-0.015, 0.015, (32, 4, 3)), rng.uniform(0, 0.07, (32, 4, 1))], axis=-1)
    waypoints = decode(actions, np.tile(HOME_POSITION, (32, 1)))
    T = tcp_pose(waypoints[..., :6])
    wanted = tcp_pose(HOME_POSITION[:6])[:3, 3] + np.cumsum(actions[..., :3], axis=1)
    assert np.linalg.norm(T[..., :3, 3] - wanted, axis=-1).max() < 2e-4
    assert angle_between(T[..., :3, :3], R_BASE_TOOL_HOME).max() < 2e-3
    assert (waypoints[..., 6] == actions[..., 3]).all()


def test_a_zero_action_stays():
    waypoints = decode(np.array([[0.0, 0.0, 0.0, HOME_POSITION[6]]] * 3))
    assert np.allclose(waypoints, HOME_POSITION, atol=1e-6)


def test_targets_stop_at_the_workspace_box():
    waypoints = decode(np.array([[0.0, 0.04, 0.0, 0.02]] * 8))
    y = tcp_pose(waypoints[:, :6])[:, 1, 3]
    assert y[3] == pytest.approx(0.16, abs=1e-3)
    assert np.allclose(y[5:], 0.2, atol=1e-3)
    back = decode(np.array([[0.0, 0.5, 0.0, 0.02], [0.0, -0.05, 0.0, 0.02]]))
    assert tcp_pose(back[-1, :6])[1, 3] == pytest.approx(0.15, abs=5e-3), "no wind-up behind the box"


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), scale=st.sampled_from([0.1, 1.0, 1e3, 1e12]))
def test_any_finite_action_gives_finite_waypoints_within_limits(seed, scale):
    rng = np.random.default_rng(seed)
    q_start = rng.uniform(LIMITS.lower, LIMITS.upper, (8, 7))
    big_box = WorkspaceBox(np.full(3, -2.0), np.full(3, 2.0))
    waypoints = decode(rng.normal(size=(8, 3, 4)) * scale, q_start, big_box)
    assert np.isfinite(waypoints).all()
    assert (LIMITS.outside(waypoints) == 0.0).all()


def test_many_arms_and_one_arm_get_the_same_bits():
    rng = np.random.default_rng(5)
    actions = rng.normal(size=(3, 4, 6, 4)) * 0.02
    q_start = np.clip(HOME_POSITION + rng.normal(size=(3, 4, 7)) * 0.1, LIMITS.lower, LIMITS.upper)
    together = decode(actions, q_start)
    assert together.shape == (3, 4, 6, 7)
    for index in np.ndindex(3, 4):
        assert (decode(actions[index], q_start[index]) == together[index]).all()


@pytest.mark.parametrize(
    ("actions", "q_start", "message"),
    [
        (np.zeros((4, 3)), HOME_POSITION, r"actions has shape \(4, 3\); expected \(\.\.\., H, 4\)"),
        (np.zeros((0, 4)), HOME_POSITION, "actions has shape"),
        (np.zeros(4), HOME_POSITION, "actions has shape"),
        (np.zeros((4, 4)), HOME_POSITION[:6], "q_start has shape"),
        (np.zeros((2, 4, 4)), HOME_POSITION, "different leading dimensions"),
        (np.full((4, 4), np.nan), HOME_POSITION, "not finite"),
        (np.full((4, 4), np.inf), HOME_POSITION, "not finite"),
        (np.zeros((4, 4)), np.full(7, np.nan), "q_start has values that are not finite"),
        ([["a"] * 4], HOME_POSITION, "array of numbers"),
    ],
)
def test_bad_input_is_refused(actions, q_start, message):
    with pytest.raises(ActionRefusedError, match=message):
        decode(actions, q_start)


@pytest.mark.parametrize("lower", [np.zeros(2), np.full(3, np.nan), np.full(3, 1.0)])
def test_a_bad_workspace_is_refused(lower):
    with pytest.raises(ActionRefusedError, match="workspace corner"):
        WorkspaceBox(lower, np.full(3, 0.5))
