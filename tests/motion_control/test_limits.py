"""Limits: the default keeps a margin to the firmware's limits, and contradictions are refused."""

import numpy as np
import pytest
from motion_control import LimitsError, MotionLimits
from piper_description import HOME_POSITION, JOINT_LIMITS


def test_default_keeps_a_margin_and_contains_home():
    limits = MotionLimits.default(margin_rad=0.02)
    assert np.allclose(limits.lower[:6] - JOINT_LIMITS.lower[:6], 0.02)
    assert np.allclose(JOINT_LIMITS.upper[:6] - limits.upper[:6], 0.02)
    assert limits.lower[6] == 0.0 and limits.upper[6] == JOINT_LIMITS.upper[6]
    assert (limits.outside(HOME_POSITION) == 0.0).all()


def test_outside_measures_both_sides_for_batches():
    limits = MotionLimits.default()
    positions = np.stack([limits.lower - 0.1, limits.upper + 0.2, (limits.lower + limits.upper) / 2])
    assert np.allclose(limits.outside(positions), np.array([[0.1], [0.2], [0.0]]) * np.ones(7))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("lower", np.zeros(6), "must be 7 finite"),
        ("upper", np.full(7, np.nan), "must be 7 finite"),
        ("upper", np.full(7, -9.0), "must lie below"),
        ("velocity", np.zeros(7), "above zero"),
        ("acceleration", -np.ones(7), "above zero"),
    ],
)
def test_contradictions_are_refused(name, value, message):
    good = MotionLimits.default()
    values = {field: getattr(good, field) for field in ("lower", "upper", "velocity", "acceleration")}
    with pytest.raises(LimitsError, match=message):
        MotionLimits(**{**values, name: value})


def test_limits_cannot_be_changed_afterwards():
    limits = MotionLimits.default()
    with pytest.raises(ValueError, match="read-only"):
        limits.velocity[0] = 100.0
