"""Levels of difficulty follow sampled success."""

import pytest

from sim_train.config import ConfigError, from_plain
from sim_train.curriculum import Curriculum, CurriculumConfig

CONFIG = CurriculumConfig({"spread": (0.5, 1.0), "mass": (0.6, 0.2)}, advance_above=0.6, fall_below=0.2, step=0.25)


def test_success_makes_it_harder_and_failure_easier():
    curriculum = Curriculum(CONFIG, 2)
    assert curriculum.levels == [0.0, 0.0]
    assert curriculum.values(0) == {"spread": 0.5, "mass": 0.6}
    for success, level in [(0.7, 0.25), (0.6, 0.25), (0.2, 0.25), (0.19, 0.0), (0.0, 0.0), (0.9, 0.25)]:
        curriculum.observe(0, success)
        assert curriculum.levels == [level, 0.0]
    for _ in range(9):
        curriculum.observe(0, 1.0)
    assert curriculum.levels == [1.0, 0.0]
    assert curriculum.values(0) == pytest.approx({"spread": 1.0, "mass": 0.2})
    again = Curriculum(CONFIG, 2)
    again.restore(curriculum.levels)
    assert again.levels == curriculum.levels


def test_a_level_is_the_same_number_whichever_way_it_was_reached():
    curriculum = Curriculum(CurriculumConfig({"spread": (0.5, 1.0)}, step=0.1), 1)
    up, down = [], []
    for levels, success in ((up, 1.0), (down, 0.0)):
        for _ in range(11):
            levels.append(curriculum.levels[0])
            curriculum.observe(0, success)
    assert up == down[::-1] and len(set(up)) == 11


def test_without_knobs_everything_is_at_full_difficulty():
    curriculum = Curriculum(CurriculumConfig(), 1)
    curriculum.observe(0, 0.0)
    assert curriculum.levels == [1.0] and curriculum.values(0) == {}


@pytest.mark.parametrize(
    ("curriculum", "text"),
    [
        ({"knobs": {"spread": [0.5, float("nan")]}}, "finite"),
        ({"advance_above": 0.2, "fall_below": 0.2}, "fall_below under advance_above"),
        ({"step": 0.0}, "step must be above 0"),
        ({"knobs": {"spread": 0.5}}, "curriculum.knobs.spread"),
        ({"knobs": {"size": [1, 2]}}, "has no knob 'size'"),
    ],
)
def test_bad_settings_are_named(tmp_path, curriculum, text):
    with pytest.raises(ConfigError, match=text):
        from_plain({"output_dir": str(tmp_path), "curriculum": curriculum})
