"""How episodes were done."""

import itertools

import numpy as np
import pytest
from made_states import made

from sim_train.envs import BatchEnv
from sim_train.reports.pushcut import Share, compare
from sim_train.reports.runs import DEMONSTRATIONS
from sim_train.strategies import Course, bounding_box, lowest_corner
from sim_train.worlds.shapes import Body, Shape
from sim_train.worlds.states import States
from sim_train.worlds.task import line, upright
from sim_train.worlds.tasks.click_bell import ClickBell
from sim_train.worlds.tasks.pick_cube import PickCube
from sim_train.worlds.tasks.place_empty_cup import COASTER, CUP, GRASP_Z, PlaceEmptyCup

SEED = 1_000_003


def history(states):
    """Single states as T ticks."""

    def stacked(name):
        return {body: np.stack([getattr(s, name)[body] for s in states]) for body in getattr(states[0], name)}

    return States(
        stacked("pose"),
        stacked("velocity"),
        stacked("slide"),
        np.stack([s.joints for s in states]),
        np.stack([s.bases for s in states]),
    )


def course_of(task, layout, moments):
    """The course along moments (pose of the target, tool), 20 ticks between each two."""
    course = Course(task.scene(), layout)
    moments = [(np.array(at), np.array(tool)) for at, tool in moments]
    for (at, tool), (then, tool_then) in itertools.pairwise(moments):
        shares = np.linspace(0, 1, 20)
        course.follow(
            history(
                [
                    made(task, layout, {layout.target: at + s * (then - at)}, tool + s * (tool_then - tool))
                    for s in shares
                ]
            )
        )
    return course


@pytest.fixture(scope="module")
def cubes():
    task = PickCube()
    return task, task.sample(SEED)


def above(pose, dx=0.0, dz=0.0):
    return upright(pose[0] + dx, pose[1], z=dz)


def test_carried_pushed_and_alone(cubes):
    task, layout = cubes
    pose = layout.poses[layout.target]
    start, far = above(pose), (0.2, 0.0, 0.2)
    at = np.add(start[:3], (0, 0, 0.018))
    lift, push = np.array((0, 0, 0.08)), np.array((0.08, 0, 0))
    assert course_of(task, layout, [(start, far), (start, at)]).strategy == "reached"
    assert course_of(task, layout, [(start, at), (above(pose, dz=0.08), at + lift)]).strategy == "carried"
    assert course_of(task, layout, [(start, at), (above(pose, dx=0.08), at + push)]).strategy == "pushed"
    assert course_of(task, layout, [(start, far), (above(pose, dx=0.08), far)]).strategy == "moved by itself"
    both = [(start, at), (above(pose, dx=0.08), at + push), (above(pose, 0.08, 0.08), at + push + lift)]
    course = course_of(task, layout, both)
    assert course.strategy == "pushed, then carried"
    np.testing.assert_allclose(course.way_m, [0.08, 0.08, 0.0], atol=0.009)  # the first 8 mm are no lift yet


def test_a_nudge_before_a_long_way_does_not_count(cubes):
    task, layout = cubes
    pose = layout.poses[layout.target]
    at = np.add(above(pose)[:3], (0, 0, 0.018))
    nudge, lift = np.array((0.02, 0, 0)), np.array((0.02, 0, 0.2))
    moments = [(above(pose), at), (above(pose, 0.02), at + nudge), (above(pose, 0.02, 0.2), at + lift)]
    assert course_of(task, layout, moments).strategy == "carried"


def test_moving_another_thing_is_told(cubes):
    task, layout = cubes
    other = next(name for name in layout.poses if name != layout.target)
    course = Course(task.scene(), layout)
    moved = made(task, layout, {other: above(layout.poses[other], 0.05)})
    course.follow(history([made(task, layout), moved]))
    assert course.strategy == "reached; moved something else, too"


@pytest.mark.parametrize(("opening", "name"), [(0.0, "closed"), (0.05, "open")])
def test_a_button_is_pressed_with_the_gripper_as_it_is(opening, name):
    task = ClickBell()
    layout = task.sample(SEED)
    course = Course(task.scene(), layout)
    course.follow(history([made(task, layout, opening=opening, slide=down) for down in (0.0, 0.01, 0.0)]))
    assert course.strategy == f"pressed with {name} gripper"


def test_the_box_around_a_body_and_its_lowest_corner():
    turned = (np.cos(np.pi / 4), 0.0, np.sin(np.pi / 4), 0.0)  # z of the cylinder along x
    body = Body(
        "thing",
        (Shape("box", (0.1, 0.2, 0.3), (0.0, 0.0, 0.3)), Shape("cylinder", (0.05, 0.4), (0.0, 0.0, 0.3), turned)),
        0.1,
    )
    low, high = bounding_box(body)
    np.testing.assert_allclose(low, [-0.4, -0.2, 0.0], atol=1e-12)
    np.testing.assert_allclose(high, [0.4, 0.2, 0.6], atol=1e-12)
    pose = np.array([0.0, 0.0, 0.5, *turned])  # lies on its side
    states = States({"thing": pose}, {}, {}, np.zeros((1, 7)), np.zeros((1, 3)))
    assert lowest_corner(states, "thing", low, high) == pytest.approx(0.5 - 0.4)


def placed(task, seeds, choose):
    """Strategies of the successful episodes of these seeds, where `choose` makes a chunk of an expert's view."""
    env, expert = BatchEnv(task, len(seeds), cameras=[]), task.expert
    env.follow()
    env.reset(seeds)
    found, alive, played = {}, np.arange(len(seeds)), 0
    task.expert = lambda view: choose(view, played, expert)
    while len(alive):
        result = env.step(env.expert_actions(alive), alive)
        found |= {seeds[row]: env.strategy(row) for row, ok in zip(alive, result.success, strict=True) if ok}
        alive, played = alive[~result.done], played + 1
    task.expert = expert
    env.close()
    return found


def pull(view, played, expert):
    """Grip the cup, pull it along the table onto the coaster, let go."""
    cup, goal = view.states.position(CUP), view.states.position(COASTER)
    tool = view.tcp[0]
    if played < 3:
        return line(
            np.array([*cup[:2], (0.1, GRASP_Z, GRASP_Z)[played]]) - tool, 0.07 if played < 2 else 0.0, view.horizon
        )
    if played < 6:
        end = goal[:2] + 0.06 * (goal - cup)[:2] / np.linalg.norm((goal - cup)[:2]) ** 0.5
        return line(np.array([*end, GRASP_Z]) - tool, 0.0, view.horizon)
    return line(np.array([0.0, 0.0, 0.0 if played == 6 else 0.08]), 0.07, view.horizon)


def test_pulling_where_the_expert_carries_has_another_name():
    task = PlaceEmptyCup(manner="any", tolerance_m=0.04)
    seeds = list(range(SEED, SEED + 8))
    carried = placed(task, seeds, lambda view, played, expert: expert(view))
    pulled = placed(task, seeds, pull)
    assert len(carried) >= 6 and set(carried.values()) <= {"carried", "pushed, then carried"}
    assert list(pulled.values()).count("pushed") >= 5
    assert not set(pulled.values()) & set(carried.values())  # some hop: "carried, then pushed"
    found = compare("run", "place_empty_cup", {DEMONSTRATIONS: carried, "sft": carried, "rl": pulled})
    assert found.new_share == Share(len(pulled), len(pulled)) and "pushed" in found.new
    again = placed(task, list(range(SEED + 8, SEED + 16)), lambda view, played, expert: expert(view))
    found = compare("run", "place_empty_cup", {DEMONSTRATIONS: carried, "rl": again})
    assert (found.new, found.new_share) == ((), Share(0, len(again)))


def test_only_followed_episodes_have_a_strategy():
    env = BatchEnv("reach_target", 1, cameras=[])
    env.reset([0])
    with pytest.raises(ValueError, match="call follow"):
        env.strategy(0)
    env.close()
