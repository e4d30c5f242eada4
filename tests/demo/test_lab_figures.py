"""Figures from recordings: limit breaches on signals whose answer is known."""

import numpy as np
import pytest
from piper_description import HOME_POSITION, JOINT_LIMITS

from demo.lab_figures import PERIOD_S, JointStates, count_breaches


def still(ticks):
    stamp = 10.0 + np.arange(ticks) * PERIOD_S
    return JointStates(stamp, np.tile(HOME_POSITION, (ticks, 1)), np.zeros((ticks, 7)))


def test_lost_messages_are_no_breach():
    """A gap of three ticks excuses three ticks' worth of acceleration, and no more."""
    stamp = np.delete(still(100).stamp_s, [50, 51])
    velocity = np.zeros((98, 7))
    velocity[50:, 0] = JOINT_LIMITS.acceleration[0] * PERIOD_S * 3
    position = np.tile(HOME_POSITION, (98, 1))
    assert count_breaches(JointStates(stamp, position, velocity)) == 0
    velocity[50:, 0] *= 1.2
    assert count_breaches(JointStates(stamp, position, velocity)) == 1


@pytest.mark.parametrize("limit", ["position", "velocity", "acceleration", "finite"])
def test_each_broken_limit_is_counted(limit):
    episode = still(100)
    position, velocity = episode.position.copy(), episode.velocity.copy()
    if limit == "position":
        position[50, 2] = JOINT_LIMITS.upper[2] + 0.01
    elif limit == "velocity":
        velocity[50:, 1] = JOINT_LIMITS.velocity[1] * 1.01
    elif limit == "acceleration":
        velocity[50:, 0] = JOINT_LIMITS.acceleration[0] * PERIOD_S * 1.5
    else:
        position[50, 3] = np.nan
    assert count_breaches(episode) == 0
    assert count_breaches(JointStates(episode.stamp_s, position, velocity)) >= 1
