"""A recorded episode as a demonstration: the same pictures, states and motion, whatever became of a chunk."""

import dataclasses

import numpy as np
import pytest
from made_episodes import TICK_NS, write
from motion_control.action_space import TABLE_WORKSPACE, decode_ee_delta_position
from piper_description import R_BASE_TOOL_HOME, tcp_pose

from sim_train.datasets.episode_log import Motion, UnusableEpisodeError, read_facts, read_log
from sim_train.datasets.recorded import spec_problem, to_demonstration
from sim_train.envs import BatchEnv


@pytest.fixture(scope="module")
def log(done, tmp_path_factory):
    folder = write(tmp_path_factory.mktemp("episodes"), "ep0001", done)
    return read_log(folder, read_facts(folder))


def tcp(joints):
    return tcp_pose(joints[..., :6])[..., :3, 3]


def with_setpoints(log, position):
    return dataclasses.replace(log, setpoints=Motion(log.setpoints.stamp_ns, position))


def test_pictures_states_and_steps_are_those_that_a_policy_sees(log, done):
    made = to_demonstration(log, done.spec)
    assert len(made.state) == len(done.chunks)
    for i, seen in enumerate(done.seen):
        np.testing.assert_array_equal(made.images["front"][i], seen.images["front"][0])
        np.testing.assert_allclose(made.state[i], seen.state[0], atol=1e-6)
    assert (made.executed_steps == done.spec.horizon).all()
    np.testing.assert_allclose(made.actions, np.stack(done.chunks), atol=2e-4)
    assert made.cut == 0


def test_its_actions_do_the_same_motion_in_the_simulator(log, done):
    made = to_demonstration(log, done.spec)
    env = BatchEnv("pick_cube", 1)
    env.reset([done.seed])
    for actions, joints in zip(made.actions, done.joints[1:], strict=True):
        result = env.step(actions[None])
        moved = tcp(result.observations.state[0].astype(np.float64))
        assert np.linalg.norm(moved - tcp(joints.astype(np.float64))) < 0.5e-3
        assert abs(result.observations.state[0, 6] - joints[6]) < 0.5e-3
    assert result.success[0]
    env.close()


def test_of_a_chunk_that_was_cut_short_only_what_fell_due_counts(log, done):
    cut_at = int(log.chunks[1].due_ns[1]) + 30_000_000  # in mid-step: two steps were executed
    stopped = dataclasses.replace(log, modes=[log.modes[0], (cut_at, "HOLD")])
    made = to_demonstration(stopped, done.spec)
    assert made.executed_steps.tolist() == [4, 2]
    np.testing.assert_allclose(made.actions[1, :2], done.chunks[1][:2], atol=2e-4)
    assert (made.actions[1, 2:, :3] == 0).all()
    at_once = dataclasses.replace(log, modes=[log.modes[0], (int(log.chunks[1].due_ns[0]) - 50_000_000, "HOLD")])
    assert to_demonstration(at_once, done.spec).executed_steps.tolist() == [4]


def test_where_the_setpoints_went_elsewhere_they_are_the_command(log, done):
    """As if the driver had refused the first chunk and something else had moved the arm up a little."""
    first = log.chunks[0]
    start = log.setpoints.at(np.array(first.observation_ns))
    raised = decode_ee_delta_position(np.array([[0, 0, 0.02, 0.03]]), start, R_BASE_TOOL_HOME, TABLE_WORKSPACE)[0]
    moved = log.setpoints.position.copy()
    moved[log.setpoints.stamp_ns > first.due_ns[1] - TICK_NS] = raised
    moved[(log.setpoints.stamp_ns > first.observation_ns) & (log.setpoints.stamp_ns < first.due_ns[1])] = start
    alone = dataclasses.replace(with_setpoints(log, moved), chunks=[first])
    made = to_demonstration(alone, done.spec)
    led_to = tcp(start) + made.actions[0].cumsum(0, dtype=np.float64)[:, :3]
    np.testing.assert_allclose(led_to, tcp(alone.setpoints.at(first.due_ns)), atol=1e-6)
    np.testing.assert_allclose(made.actions[0, -1, 3], raised[6], atol=1e-6)


def test_what_the_driver_refused_did_not_move_the_arm(log, done):
    """The chunk was sent, but the setpoint stayed."""
    first = log.chunks[0]
    still = log.setpoints.position.copy()
    later = log.setpoints.stamp_ns > first.observation_ns
    still[later] = log.setpoints.at(np.array(first.observation_ns))
    made = to_demonstration(with_setpoints(log, still), done.spec)
    np.testing.assert_allclose(made.actions[..., :3], 0, atol=1e-6)
    np.testing.assert_allclose(made.actions[..., 3], still[-1, 6], atol=1e-6)


def test_what_exceeds_the_bounds_is_cut_counted_and_made_up_for(log, done):
    largest = np.abs(np.stack(done.chunks)[..., :3]).max()
    narrow = tuple(
        dataclasses.replace(f, lower=-0.6 * largest, upper=0.6 * largest) if f.name != "gripper" else f
        for f in done.spec.action
    )
    made = to_demonstration(log, dataclasses.replace(done.spec, action=narrow))
    assert made.cut > 0
    assert np.abs(made.actions[..., :3]).max() <= 0.6 * largest + 1e-7
    owed = np.stack(done.chunks)[..., :3].cumsum(1) - made.actions[..., :3].cumsum(1, dtype=np.float64)
    slow = np.abs(np.stack(done.chunks)[..., :3].sum(1)) < 4 * 0.6 * largest - 1e-3  # what four steps can make up for
    assert slow.any()
    assert np.abs(owed[:, -1])[slow].max() < np.abs(owed).max()


def test_chunks_without_authority_are_left_out(log, done):
    begin = int(log.chunks[1].due_ns[0]) - done.spec.dt_ns
    late = dataclasses.replace(log, modes=[(log.modes[0][0], "HOLD"), (begin - TICK_NS, "POLICY")])
    assert len(to_demonstration(late, done.spec).state) == len(done.chunks) - 1
    for modes in ([], [(log.modes[0][0], "TELEOP")]):
        with pytest.raises(UnusableEpisodeError, match="no chunk was played while the policy had authority"):
            to_demonstration(dataclasses.replace(log, modes=modes), done.spec)


def test_silence_of_the_driver_is_refused(log, done):
    due = log.chunks[1].due_ns
    heard = (log.setpoints.stamp_ns < due[1]) | (log.setpoints.stamp_ns > due[1] + 80_000_000)
    gap = dataclasses.replace(log, setpoints=Motion(log.setpoints.stamp_ns[heard], log.setpoints.position[heard]))
    with pytest.raises(UnusableEpisodeError, match=r"setpoints are missing for (8[0-9]|90) ms"):
        to_demonstration(gap, done.spec)


def test_a_tilted_tool_is_refused(log, done):
    lean = np.array([0, 0, 0, 0, 0.3, 0, 0])
    chunks = [dataclasses.replace(chunk, waypoints=chunk.waypoints + lean) for chunk in log.chunks]
    with pytest.raises(UnusableEpisodeError, match=r"tilted by 1[78] degrees"):
        to_demonstration(dataclasses.replace(log, chunks=chunks), done.spec)


def test_a_missing_or_damaged_frame_is_refused(log, done):
    observed = log.chunks[2].observation_ns
    without = [frame for frame in log.images["front"] if frame[0] < observed]
    with pytest.raises(UnusableEpisodeError, match="camera 'front' has no frame in the 100 ms behind"):
        to_demonstration(dataclasses.replace(log, images={"front": without}), done.spec)
    damaged = [(stamp, data[: len(data) // 20]) for stamp, data in log.images["front"]]
    with pytest.raises(UnusableEpisodeError, match="a frame of camera 'front' cannot be used"):
        to_demonstration(dataclasses.replace(log, images={"front": damaged}), done.spec)


def test_joint_states_must_be_near_the_observation(log, done):
    early = log.joints.stamp_ns < log.chunks[-1].observation_ns - 300_000_000
    short = Motion(log.joints.stamp_ns[early], log.joints.position[early])
    with pytest.raises(UnusableEpisodeError, match="no joint state within 100 ms"):
        to_demonstration(dataclasses.replace(log, joints=short), done.spec)


def test_chunks_of_another_length_are_refused(log, done):
    with pytest.raises(UnusableEpisodeError, match="chunk 0 has 4 waypoints, the contract says 8"):
        to_demonstration(log, dataclasses.replace(done.spec, horizon=8))


def test_contracts_that_no_recording_fits(done):
    assert spec_problem(done.spec) is None
    assert "one arm" in spec_problem(dataclasses.replace(done.spec, action=done.spec.action * 2))
    assert "not the joints" in spec_problem(dataclasses.replace(done.spec, state=done.spec.state * 2))
    assert "no camera" in spec_problem(dataclasses.replace(done.spec, cameras=()))
