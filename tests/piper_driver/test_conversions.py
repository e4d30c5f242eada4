"""Conversions: round trips, and chunks that are refused with the reason."""

import time

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from motion_control import Chunk, ChunkRefusedError, Mode, TargetRefusedError
from node_runtime.ros_time import to_monotonic_ns, to_stamp
from piper_description import JOINT_NAMES
from piper_driver import conversions

MS = 1_000_000


def a_chunk():
    now = time.monotonic_ns()
    return Chunk(now, now + np.array([50, 100, 1500]) * MS, np.random.default_rng(1).normal(size=(3, 7)))


def test_chunks_survive_the_round_trip():
    chunk = a_chunk()
    back = conversions.chunk_from_trajectory(conversions.trajectory_from_chunk(chunk))
    assert (back.position == chunk.position).all()
    assert (np.diff(back.time_ns) == np.diff(chunk.time_ns)).all()
    assert back.time_ns[0] - back.observation_ns == chunk.time_ns[0] - chunk.observation_ns
    assert abs(back.observation_ns - chunk.observation_ns) < MS


def test_a_velocity_at_the_end_says_that_the_motion_goes_on():
    message = conversions.trajectory_from_chunk(a_chunk())
    assert not conversions.chunk_from_trajectory(message).continues
    message.points[-1].velocities = [0.0, 0.1, 0.0, 0.0, 0.0, 0.0, 0.0]
    assert conversions.chunk_from_trajectory(message).continues


def test_bad_trajectories_are_refused():
    def broken(change):
        message = conversions.trajectory_from_chunk(a_chunk())
        change(message)
        return message

    def set_nan(message):
        message.points[1].positions[3] = np.nan

    def drop_a_joint(message):
        message.points[1].positions = message.points[1].positions[:6]

    for change, text in [
        (set_nan, "not finite"),
        (drop_a_joint, "point 1 has 6 positions"),
        (lambda m: m.points.clear(), "expected"),
        (lambda m: m.points.reverse(), "must increase"),
        (lambda m: m.joint_names.reverse(), "joint_names are"),
    ]:
        with pytest.raises(ChunkRefusedError, match=text):
            conversions.chunk_from_trajectory(broken(change))


def test_joint_states_keep_order_and_stamp():
    now = time.monotonic_ns()
    message = conversions.joint_state(to_stamp(now), np.arange(7.0), np.arange(7.0) / 10)
    assert tuple(message.name) == JOINT_NAMES
    assert list(message.position) == list(np.arange(7.0)) and message.velocity[3] == pytest.approx(0.3)
    assert abs(to_monotonic_ns(message.header.stamp) - now) < MS


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("reason", ["", "no feedback: check power: now"])
def test_modes_survive_the_round_trip(mode, reason):
    assert conversions.mode_from_message(conversions.mode_message(mode, reason)) == (mode, reason)


def test_an_unknown_mode_is_an_error():
    message = conversions.mode_message(Mode.HOLD, "")
    message.data = "DANCE: why not"
    with pytest.raises(ValueError, match="DANCE"):
        conversions.mode_from_message(message)


def test_diagnostics_survive_the_round_trip():
    values = {"mean_hz": 199.98765, "overruns": 3, "mode": "HOLD"}
    message = conversions.diagnostics(to_stamp(0), "driver", DiagnosticStatus.WARN, "slow", values)
    assert conversions.values_from_diagnostics(message) == {"mean_hz": "199.988", "overruns": "3", "mode": "HOLD"}
    assert message.status[0].level == DiagnosticStatus.WARN and message.status[0].message == "slow"


def test_an_arm_of_two_takes_its_joints_from_a_trajectory_for_both():
    left, right = ([f"{arm}_{name}" for name in JOINT_NAMES] for arm in ("left", "right"))
    chunk = a_chunk()
    own = conversions.trajectory_from_chunk(chunk, left)
    assert (conversions.chunk_from_trajectory(own, left).position == chunk.position).all()
    both = conversions.trajectory_from_chunk(chunk, [*left, *right])
    for point in both.points:
        point.positions = [*point.positions, *(v + 1.0 for v in point.positions)]
    assert (conversions.chunk_from_trajectory(both, left).position == chunk.position).all()
    assert np.allclose(conversions.chunk_from_trajectory(both, right).position, chunk.position + 1.0)
    with pytest.raises(ChunkRefusedError, match="expected"):
        conversions.chunk_from_trajectory(own, right)
    with pytest.raises(ChunkRefusedError, match="expected"):
        conversions.chunk_from_trajectory(both)


def test_teleop_commands():
    now = time.monotonic_ns()
    message = conversions.joint_state(to_stamp(now), np.arange(7.0), np.zeros(7))
    command = conversions.teleop_from_joint_state(message)
    assert (command.position == np.arange(7.0)).all() and abs(command.stamp_ns - now) < MS
    message.position = [0.0] * 6
    with pytest.raises(TargetRefusedError, match="6 positions; expected"):
        conversions.teleop_from_joint_state(message)
    message.name, message.position = ["a"] * 7, [0.0] * 7
    with pytest.raises(TargetRefusedError, match="joint1"):
        conversions.teleop_from_joint_state(message)
