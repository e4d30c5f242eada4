"""The task itself: layouts, and what would fool its success predicate."""

import numpy as np
import pytest

from sim_train.worlds.tasks import make_task

TASK = make_task("pick_cube")


def positions(red_z, blue_z):
    return {"red": np.array([0.3, 0.05, red_z]), "blue": np.array([0.3, -0.05, blue_z])}


def test_a_seed_always_gives_the_same_layout_and_both_colours_are_asked_for():
    layouts = [TASK.sample(seed) for seed in range(200)]
    assert layouts == [TASK.sample(seed) for seed in range(200)]
    reds = sum(layout.target == "red" for layout in layouts)
    assert 70 < reds < 130
    assert all(layout.target in layout.instruction for layout in layouts)
    assert len({layout.instruction for layout in layouts}) == 10


def test_cubes_lie_in_reach_and_apart():
    for seed in range(200):
        poses = TASK.sample(seed).poses
        red, blue = (np.array(poses[name][:2]) for name in ("red", "blue"))
        assert np.linalg.norm(red - blue) >= TASK.min_distance
        for x, y in (red, blue):
            assert TASK.x_range[0] <= x <= TASK.x_range[1]
            assert TASK.y_range[0] <= y <= TASK.y_range[1]


@pytest.mark.parametrize(
    ("red_z", "blue_z", "done"),
    [
        (0.018, 0.018, False),  # at the start
        (0.018 + 0.05, 0.018, True),  # lifted
        (0.018 + 0.036, 0.018, False),  # standing on the other cube: 36 mm is not enough
        (0.018, 0.018 + 0.05, False),  # the wrong one
        (0.018 + 0.05, 0.018 + 0.05, False),  # both at once
    ],
)
def test_success_needs_the_named_cube_up_and_the_other_down(red_z, blue_z, done):
    assert bool(TASK.success(positions(red_z, blue_z), "red")) is done


def test_success_takes_batches():
    height = np.array([0.02, 0.07, 0.02])
    batch = {
        "red": np.stack([np.zeros(3), np.zeros(3), height], -1),
        "blue": np.tile([0.0, 0.0, 0.018], (3, 1)),
    }
    np.testing.assert_array_equal(TASK.success(batch, "red"), [False, True, False])


def test_unknown_task_lists_the_known_ones():
    with pytest.raises(ValueError, match="pick_cube"):
        make_task("juggle")
