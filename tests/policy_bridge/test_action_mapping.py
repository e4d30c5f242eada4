import numpy as np
import pytest
from bridge_specs import make_spec
from motion_control.errors import ActionRefusedError
from motion_control.limits import MotionLimits
from piper_description import HOME_POSITION
from policy_bridge.action_mapping import to_actions, to_waypoints

LIMITS = MotionLimits.default()
HOME = np.asarray(HOME_POSITION, dtype=np.float64)
EE = make_spec()
JOINTS = make_spec(action_space="joint_position", action=EE.state)


def test_joint_positions_are_the_waypoints_within_the_limits():
    actions = np.tile(HOME, (4, 1)).astype(np.float32)
    actions[2, 6] = LIMITS.upper[6] + 0.01
    waypoints = to_waypoints(JOINTS, actions, HOME, LIMITS)
    assert waypoints.dtype == np.float64
    assert waypoints[2, 6] == LIMITS.upper[6]
    np.testing.assert_allclose(waypoints[:2], actions[:2], atol=1e-8)
    np.testing.assert_array_equal(to_actions(JOINTS, waypoints, HOME)[:2], actions[:2])


@pytest.mark.parametrize(("value", "text"), [(np.nan, "not finite"), (90.0, "joint2 is asked to go 8")])
def test_joint_positions_that_make_no_sense_are_refused_whole(value, text):
    actions = np.tile(HOME, (4, 1)).astype(np.float32)
    actions[3, 1] = value
    with pytest.raises(ActionRefusedError, match=text):
        to_waypoints(JOINTS, actions, HOME, LIMITS)


def test_moves_of_the_tool_come_back_from_their_waypoints():
    rng = np.random.default_rng(0)
    actions = np.hstack([rng.uniform(-0.01, 0.01, (4, 3)), rng.uniform(0, 0.07, (4, 1))]).astype(np.float32)
    waypoints = to_waypoints(EE, actions, HOME, LIMITS)
    assert waypoints.shape == (4, 7)
    np.testing.assert_allclose(to_actions(EE, waypoints, HOME), actions, atol=2e-4)


def test_actions_stay_in_the_contracts_range():
    far = HOME + np.array([0.8, 0, 0, 0, 0, 0, 0])
    assert np.abs(to_actions(EE, far[None], HOME)[:, :3]).max() == np.float32(0.04)
