"""Medians, areas and intervals against figures worked out by hand."""

import pytest

from benchmarks.rl.statistics import area, median_success, paired_difference


def test_the_median_of_seeds_with_an_interval_around_it():
    median, (low, high) = median_success([(180, 200), (190, 200), (120, 200)])
    assert median == 0.9
    assert 0.55 < low < 0.7  # the bad seed may be drawn twice
    assert 0.93 < high < 0.99


def test_one_seed_has_the_interval_of_its_episodes():
    median, (low, high) = median_success([(100, 200)])
    assert median == 0.5
    assert (low, high) == pytest.approx((0.431, 0.569), abs=0.004)  # Jeffreys


def test_a_perfect_score_is_not_certain():
    _, (low, high) = median_success([(200, 200)] * 3)
    assert 0.97 < low < 1.0
    assert high <= 1.0


@pytest.mark.parametrize("counts", [[], [(1, 0)], [(5, 4)], [(-1, 4)]])
def test_counts_that_are_none_are_refused(counts):
    with pytest.raises(ValueError, match=r"needed|at least one seed"):
        median_success(counts)


def test_paired_differences_have_students_interval():
    mean, interval = paired_difference([0.9, 0.8, 0.7], [0.5, 0.6, 0.6])
    # differences .4 .2 .1: mean .2333, sd .1528, t(2) 4.303
    assert mean == pytest.approx(0.23333, abs=1e-4)
    assert interval == pytest.approx((0.2333 - 4.3027 * 0.15275 / 3**0.5, 0.2333 + 4.3027 * 0.15275 / 3**0.5), abs=1e-3)
    assert paired_difference([0.9], [0.5]) == (pytest.approx(0.4), None)
    with pytest.raises(ValueError, match="pairs"):
        paired_difference([0.1], [])


def test_the_area_is_a_mean_height_and_level_after_the_last_point():
    assert area([(0, 0.0), (10, 1.0)], 10) == pytest.approx(0.5)
    assert area([(0, 0.0), (10, 1.0)], 20) == pytest.approx(0.75)
    assert area([(0, 0.2), (5, 0.2), (50, 0.9)], 5) == pytest.approx(0.2)
    assert area([(0, 0.0), (20, 1.0)], 10) == pytest.approx(0.25)
    assert area([(0, 0.4)], 60) == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("points", "end"), [([], 1), ([(1, 0.1)], 2), ([(0, 0.1), (2, 0.1), (1, 0.1)], 2), ([(0, 1)], 0)]
)
def test_curves_that_are_none_are_refused(points, end):
    with pytest.raises(ValueError, match="an area needs"):
        area(points, end)
