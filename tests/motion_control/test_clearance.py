"""Clearance: the same kinematics as everywhere, and never more room than MuJoCo finds between the model's shapes."""

import mujoco
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from motion_control import MotionLimits
from motion_control.clearance import SELF_LEVERS_M, segment_distance, self_clearance, tool_pose
from motion_control.safety import BODY_ABOVE_TABLE_M, FINGER_GIVE_M, SELF_DISTANCE_M
from piper_description import HOME_POSITION, PARK_POSITION, link_transforms, tcp_pose
from piper_description.collision import CAPSULES, SELF_COLLISION_PAIRS
from piper_description.mjcf import piper_mjcf

LIMITS = MotionLimits.default()
SEEDS = st.integers(0, 2**32 - 1)
LINKS = {"base_link": 0, "gripper_base": 6, "finger_left": 6, "finger_right": 6, **{f"link{i}": i for i in range(1, 7)}}
APART = [(0, 3), (0, 4), (0, 5), (0, 6), (1, 3), (1, 4), (1, 5), (1, 6), (2, 5), (2, 6)]
"""Links that the pairs of capsules stand for."""


@pytest.fixture(scope="module")
def model():
    made = mujoco.MjModel.from_xml_string(piper_mjcf())
    links = [LINKS[made.body(made.geom_bodyid[i]).name] for i in range(made.ngeom)]
    return made, mujoco.MjData(made), links


def posed(model, q):
    made, data, links = model
    data.qpos[:6], data.qpos[6:8] = q[:6], q[6] / 2
    mujoco.mj_kinematics(made, data)
    return made, data, links


def distance_in_mujoco(model, q):
    made, data, links = posed(model, q)
    pairs = [(i, j) for i in range(made.ngeom) for j in range(made.ngeom) if (links[i], links[j]) in APART]
    return min(mujoco.mj_geomDistance(made, data, i, j, 1.0, np.zeros(6)) for i, j in pairs)


def lowest_in_mujoco(model, q, bodies):
    """Lowest point of boxes and cylinders, from their corners and rims."""
    made, data, _ = posed(model, q)
    lowest = np.inf
    for i in range(made.ngeom):
        if made.body(made.geom_bodyid[i]).name not in bodies:
            continue
        R, size = data.geom_xmat[i].reshape(3, 3), made.geom_size[i]
        if made.geom_type[i] == mujoco.mjtGeom.mjGEOM_BOX:
            reach = np.abs(R[2]) @ size
        elif made.geom_type[i] == mujoco.mjtGeom.mjGEOM_CYLINDER:
            reach = np.hypot(R[2, 0], R[2, 1]) * size[0] + abs(R[2, 2]) * size[1]
        else:
            reach = size[0] + abs(R[2, 2]) * size[1]  # capsule
        lowest = min(lowest, data.geom_xpos[i][2] - reach)
    return lowest


def poses(count, seed):
    return np.random.default_rng(seed).uniform(LIMITS.lower, LIMITS.upper, (count, 7))


def test_the_tool_is_where_the_kinematics_put_it():
    for q in poses(300, 1):
        assert np.allclose(tool_pose(q.tolist())[:3], tcp_pose(q[:6])[:3, 3], atol=1e-12)


def test_a_pose_that_is_allowed_never_has_links_in_contact_in_mujoco(model):
    ours = np.array([self_clearance(q.tolist()) for q in poses(800, 2)])
    theirs = np.array([distance_in_mujoco(model, q) for q in poses(800, 2)])
    assert (ours - SELF_DISTANCE_M <= theirs).all(), "the capsules leave out part of the model"
    near = theirs < 0.05
    assert near.sum() > 20 and (theirs < 0.0).sum() > 10
    assert np.median((theirs - ours)[near]) < 0.025, "the capsules are much larger than the model"


def test_no_lowest_point_lies_below_the_one_that_is_told(model):
    for q in poses(500, 3):
        tool = tool_pose(q.tolist())
        fingers = lowest_in_mujoco(model, q, ("finger_left", "finger_right"))
        body = lowest_in_mujoco(model, q, ("gripper_base", "link6"))
        assert tool.fingers_z <= fingers + 1e-9 and fingers - tool.fingers_z < 0.08
        assert tool.body_z <= body + BODY_ABOVE_TABLE_M


def test_the_arm_may_be_at_home_and_parked():
    for q, room in ((HOME_POSITION, 0.1), (PARK_POSITION, 0.0)):
        assert self_clearance(q.tolist()) > SELF_DISTANCE_M + room
        assert tool_pose(q.tolist()).fingers_z > 0.05 - FINGER_GIVE_M


def test_capsules_are_placed_as_the_kinematics_place_links():
    for q in poses(50, 4):
        frames = np.concatenate([np.eye(4)[None], link_transforms(q[:6])])
        ends = {
            name: [(frames[c.link] @ [*point, 1.0])[:3] for point in (c.start, c.end)] for name, c in CAPSULES.items()
        }
        distances = []
        for a, b in SELF_COLLISION_PAIRS:
            (p, p2), (r, r2) = ends[a], ends[b]
            apart = segment_distance(tuple(p), tuple(p2 - p), tuple(r), tuple(r2 - r))
            distances.append(apart - CAPSULES[a].radius - CAPSULES[b].radius)
        assert self_clearance(q.tolist()) == pytest.approx(min(distances), abs=1e-4)


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS)
def test_turning_joints_changes_the_clearance_by_less_than_their_levers_say(seed):
    rng = np.random.default_rng(seed)
    q = rng.uniform(LIMITS.lower, LIMITS.upper)
    turned = np.clip(q + rng.normal(size=7) * rng.choice([0.001, 0.05, 0.5]), LIMITS.lower, LIMITS.upper)
    bound = np.abs(turned - q)[1:5] @ SELF_LEVERS_M
    assert abs(self_clearance(turned.tolist()) - self_clearance(q.tolist())) <= bound + 1e-4


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS)
def test_the_distance_of_segments_is_the_least_of_their_points(seed):
    rng = np.random.default_rng(seed)
    p, u, q, v = rng.normal(size=(4, 3)) * rng.choice([0.01, 0.3, 1.0], (4, 1))
    if rng.random() < 0.2:
        v = u * rng.choice([-1.0, 0.5])
    exact = segment_distance(tuple(p), tuple(u), tuple(q), tuple(v))
    s = np.linspace(0, 1, 201)
    points = np.linalg.norm((p + s[:, None] * u)[:, None] - (q + s[:, None] * v)[None], axis=-1)
    grain = (np.linalg.norm(u) + np.linalg.norm(v)) / 400
    assert points.min() - grain - 1e-9 <= exact <= points.min() + 1e-9
