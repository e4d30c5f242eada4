import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from motion_control.errors import LimitsError
from motion_control.merging import Crossfade, Replace, RtcPrefix, StepBounds, TemporalEnsemble, strategy_named
from motion_control.merging.strategies import Overlap, cosine_fade

numbers = st.floats(-3, 3)
ANY = (Replace(), Replace(0), Crossfade(1), Crossfade(5), TemporalEnsemble(), TemporalEnsemble(0.5), RtcPrefix())


@st.composite
def overlaps(draw):
    length, width = draw(st.integers(1, 12)), draw(st.integers(1, 4))
    rows = npst.arrays(np.float64, (length, width), elements=numbers)
    return Overlap(
        before=draw(npst.arrays(np.float64, width, elements=numbers)),
        old=draw(rows),
        votes=draw(npst.arrays(np.int64, length, elements=st.integers(1, 50))),
        new=draw(rows),
        max_step=np.full(width, draw(st.floats(0.01, 5))),
    )


@pytest.mark.parametrize("strategy", ANY, ids=str)
@given(overlap=overlaps())
@settings(max_examples=300)
def test_every_number_lies_between_the_old_and_the_new_one(strategy, overlap):
    old, new = overlap.old.copy(), overlap.new.copy()
    rows = strategy.blend(overlap)
    assert rows.shape == new.shape
    assert (rows >= np.minimum(old, new)).all()
    assert (rows <= np.maximum(old, new)).all()
    np.testing.assert_array_equal(overlap.old, old)
    np.testing.assert_array_equal(overlap.new, new)


@pytest.mark.parametrize("strategy", ANY, ids=str)
@given(overlap=overlaps())
@settings(max_examples=50)
def test_two_chunks_that_agree_stay_as_they_are(strategy, overlap):
    same = Overlap(overlap.before, overlap.new, overlap.votes, overlap.new, overlap.max_step)
    np.testing.assert_array_equal(strategy.blend(same), overlap.new)


@given(overlap=overlaps(), steps=st.integers(1, 15))
@settings(max_examples=500)
def test_a_fade_adds_no_more_than_its_share_of_the_distance_to_a_step(overlap, steps):
    old, new = overlap.old, overlap.new
    rows = cosine_fade(old, new, steps)
    bound = np.maximum(np.abs(np.diff(old, axis=0)), np.abs(np.diff(new, axis=0)))
    distance = np.maximum(np.abs(old - new)[1:], np.abs(old - new)[:-1])
    bound += np.pi / (2 * (min(steps, len(new)) + 1)) * distance
    assert (np.abs(np.diff(rows, axis=0)) <= bound + 1e-9).all()


def test_a_fade_begins_at_the_old_chunk_and_ends_at_the_new_one():
    rows = cosine_fade(np.zeros((6, 1)), np.ones((6, 1)), 3)
    np.testing.assert_allclose(rows[:, 0], [0.146447, 0.5, 0.853553, 1, 1, 1], atol=1e-6)
    np.testing.assert_allclose(cosine_fade(np.zeros((2, 1)), np.ones((2, 1)), 9)[:, 0], [0.25, 0.75])


def test_replace_fades_only_where_the_arm_would_jump():
    near = Overlap(np.zeros(1), np.zeros((3, 1)), np.ones(3, int), np.full((3, 1), 0.1), np.array([0.1]))
    np.testing.assert_array_equal(Replace().blend(near), near.new)
    far = Overlap(np.zeros(1), np.zeros((3, 1)), np.ones(3, int), np.full((3, 1), 0.2), np.array([0.1]))
    assert 0 < Replace().blend(far)[0, 0] < 0.1
    np.testing.assert_array_equal(Replace(0).blend(far), far.new)


@given(st.lists(numbers, min_size=2, max_size=8), st.floats(0, 1))
@settings(max_examples=300)
def test_an_ensemble_is_the_weighted_mean_of_all_predictions(predictions, decay):
    ensemble = TemporalEnsemble(decay)
    mean = np.array([[predictions[0]]])
    for count, prediction in enumerate(predictions[1:], start=1):
        new = np.array([[prediction]])
        mean = ensemble.blend(Overlap(np.zeros(1), mean, np.array([count]), new, np.ones(1)))
    weights = np.exp(-decay * np.arange(len(predictions)))
    np.testing.assert_allclose(mean[0, 0], weights @ predictions / weights.sum(), atol=1e-9)


def test_masked_numbers_take_the_newest_prediction():
    ensemble = TemporalEnsemble(0.1, latest=(False, True))
    old, new = np.zeros((2, 2)), np.ones((2, 2))
    rows = ensemble.blend(Overlap(np.zeros(2), old, np.full(2, 3), new, np.ones(2)))
    assert (rows[:, 1] == 1).all()
    assert (rows[:, 0] < 0.5).all()
    with pytest.raises(LimitsError, match="latest names 2 numbers; a row has 1"):
        ensemble.blend(Overlap(np.zeros(1), old[:, :1], np.full(2, 3), new[:, :1], np.ones(1)))


def test_strategies_have_the_names_of_the_wire():
    names = ("replace", "crossfade", "temporal_ensemble", "rtc_prefix")
    assert [type(strategy_named(name)) for name in names] == [Replace, Crossfade, TemporalEnsemble, RtcPrefix]
    assert [strategy_named(name).conditioned for name in names] == [False, False, False, True]
    with pytest.raises(LimitsError, match="'add' is unknown; known are replace"):
        strategy_named("add")


@pytest.mark.parametrize("make", [lambda: Crossfade(0), lambda: Replace(-1), lambda: TemporalEnsemble(float("nan"))])
def test_settings_that_make_no_sense_are_refused(make):
    with pytest.raises(LimitsError, match="or more"):
        make()


@pytest.mark.parametrize(
    ("lower", "upper", "max_step", "words"),
    [
        ([0, 0], [1], [1], "three times"),
        ([[0]], [[1]], [[1]], "three times"),
        ([0], [0], [1], "lie below"),
        ([0], [np.inf], [1], "finite"),
        ([0], [1], [0], "above zero"),
        ([0], [1], [np.nan], "above zero"),
    ],
)
def test_bounds_that_are_none_are_refused(lower, upper, max_step, words):
    with pytest.raises(LimitsError, match=words):
        StepBounds(np.array(lower), np.array(upper), np.array(max_step))
