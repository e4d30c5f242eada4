"""Cost of a control period: measured in motion, next to an empty tick."""

import pytest

from benchmarks.control.limiting import MOTIONS, cycle_cost


@pytest.mark.parametrize("motion", MOTIONS)
def test_a_period_costs_less_than_a_tenth_of_itself(motion):
    cost = cycle_cost(motion, ticks=300, runs=2)
    assert 0.0 < cost.bare_median_us < cost.median_us <= cost.p99_us
    assert cost.median_us < 500.0
    assert (cost.held_back > 0.05) == (motion == "held back")


def test_too_few_ticks_are_refused():
    with pytest.raises(ValueError, match="too few"):
        cycle_cost("held back", ticks=5)
