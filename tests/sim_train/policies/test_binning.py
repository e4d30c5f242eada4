"""Actions <-> tokens."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim_train.policies.binning import ActionBinning

LOWER, UPPER = [-0.04, 0.0], [0.04, 0.07]


@given(st.lists(st.tuples(st.floats(-0.04, 0.04), st.floats(0.0, 0.07)), min_size=1, max_size=8))
def test_a_round_trip_is_off_by_half_a_bin_at_most(actions):
    binning = ActionBinning(LOWER, UPPER, 256)
    back = binning.decode(binning.encode(actions))
    assert (np.abs(back - np.array(actions)) <= binning.width / 2 + 1e-7).all()
    assert (back >= np.array(LOWER, np.float32)).all()
    assert (back <= np.array(UPPER, np.float32)).all()


def test_tokens_survive_a_round_trip():
    binning = ActionBinning(LOWER, UPPER, 256)
    tokens = np.stack([np.arange(256), np.arange(256)[::-1]], axis=1)
    np.testing.assert_array_equal(binning.encode(binning.decode(tokens)), tokens)


def test_values_outside_go_to_the_outermost_bin():
    assert ActionBinning(LOWER, UPPER, 8).encode([[-1.0, 1.0]]).tolist() == [[0, 7]]


@pytest.mark.parametrize(
    ("lower", "upper", "bins", "says"),
    [
        ([0.0], [0.0], 8, "below"),
        ([0.0, 0.0], [1.0], 8, "equal length"),
        ([-np.inf], [1.0], 8, "finite"),
        ([0.0], [1.0], 1, "at least 2"),
    ],
)
def test_bounds_that_make_no_sense(lower, upper, bins, says):
    with pytest.raises(ValueError, match=says):
        ActionBinning(lower, upper, bins)


def test_wrong_input_is_refused():
    binning = ActionBinning(LOWER, UPPER, 8)
    with pytest.raises(ValueError, match="NaN"):
        binning.encode([[np.nan, 0.0]])
    with pytest.raises(ValueError, match="2 dimensions"):
        binning.encode(np.zeros((4, 3)))
    with pytest.raises(ValueError, match=r"0\.\.7"):
        binning.decode([[0, 8]])
