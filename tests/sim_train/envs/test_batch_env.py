"""The batched environment: the expert solves it, worlds are independent, the driver's path gives the same motion."""

from itertools import pairwise

import numpy as np
import pytest
from motion_control.action_space import TABLE_WORKSPACE, decode_ee_delta_position
from motion_control.limiter import Limiter, LimiterState
from motion_control.limits import MotionLimits
from motion_control.schedule import Chunk, ChunkSchedule
from piper_description import HOME_POSITION, R_BASE_TOOL_HOME

from sim_train.envs import BatchEnv, task_spec
from sim_train.worlds import make_world, seeds


@pytest.fixture(scope="module")
def env():
    env = BatchEnv("pick_cube", 16)
    yield env
    env.close()


def run_expert(env, episode_seeds):
    env.reset(episode_seeds)
    alive, success, chunks = np.arange(env.num_envs), np.zeros(env.num_envs, bool), np.zeros(env.num_envs, int)
    executed = np.zeros(env.num_envs, int)
    while len(alive):
        result = env.step(env.expert_actions(alive), alive)
        assert not result.fault.any()
        success[alive], executed[alive] = result.success, result.executed_steps
        chunks[alive] += 1
        alive = alive[~result.done]
    return success, chunks, executed


def test_the_expert_succeeds(env):
    success, chunks, executed = run_expert(env, range(100, 116))
    assert success.mean() >= 0.95
    assert chunks.max() <= env.max_chunks
    assert np.all(executed[success] <= env.spec.horizon)
    assert executed[success].min() >= 1


def test_doing_nothing_never_succeeds_and_ends_at_the_last_chunk(env):
    env.reset(range(16))
    still = np.zeros((16, env.spec.horizon, 4), np.float32)
    still[..., 3] = 0.07
    for chunk in range(env.max_chunks):
        result = env.step(still)
        assert not result.success.any()
        assert result.done.all() == (chunk == env.max_chunks - 1)
        assert np.all(result.executed_steps == env.spec.horizon)


def test_a_world_does_not_depend_on_its_neighbours(env):
    env.reset(range(16))
    chunk = env.expert_actions()
    together = env.step(chunk).observations
    env.reset([5], [3])
    alone = env.step(chunk[5:6], [3]).observations
    np.testing.assert_allclose(alone.state[0], together.state[5], atol=1e-6)
    np.testing.assert_array_equal(alone.images["front"][0], together.images["front"][5])
    assert alone.instructions[0] == together.instructions[5]


def test_observations_have_the_contracts_shapes(env):
    observations = env.reset(range(16))
    assert observations.images["front"].shape == (16, 64, 64, 3)
    assert observations.images["front"].dtype == np.uint8
    assert observations.state.shape == (16, 7)
    np.testing.assert_allclose(observations.state, np.tile(HOME_POSITION, (16, 1)), atol=1e-4)
    assert observations.target_position.shape == (16, 3)


def test_the_drivers_tick_by_tick_path_moves_the_arm_to_the_same_place(env):
    """Chunk -> schedule -> limiter, a tick at a time as in the driver, against the batch."""
    world = make_world("pick_cube")
    world.reset(40, arm_home=True)
    env.reset([40], [0])
    limiter = Limiter(MotionLimits.default(), 0.005)
    command = LimiterState.at_rest(HOME_POSITION)
    period_ns, now_ns = 5_000_000, 1_000_000_000
    schedule = ChunkSchedule()
    for _ in range(3):
        actions = env.expert_actions([0])
        waypoints = decode_ee_delta_position(actions[0], command.position, R_BASE_TOOL_HOME, TABLE_WORKSPACE)
        times = now_ns + 100_000_000 * np.arange(1, 5)
        schedule.merge(Chunk(now_ns - 1, times, waypoints), now_ns, command.position)
        for _ in range(120):
            now_ns += period_ns
            command = limiter.step(command, schedule.sample(now_ns))
            world.step(command.position)
        result = env.step(actions, [0])
        np.testing.assert_allclose(world.joint_position(), result.observations.state[0], atol=1e-4)
    for name, pose in world.object_poses().items():
        if name == world.layout.target:
            np.testing.assert_allclose(pose[:3], result.observations.target_position[0], atol=1e-3)


def test_seed_ranges_are_disjoint_and_enforced():
    ranges = (seeds.TRAIN, seeds.EVALUATION, seeds.LAB)
    for first, second in pairwise(ranges):
        assert first.stop <= second.start
    seeds.check_seeds([0, 999_999], seeds.TRAIN, "training")
    with pytest.raises(ValueError, match="1000000 is not for training"):
        seeds.check_seeds([1_000_000], seeds.TRAIN, "training")


def test_a_chunk_that_the_driver_would_refuse_moves_nothing(env, monkeypatch):
    """With a limit so low that every motion is one."""
    monkeypatch.setattr("sim_train.envs.batch_env.MAX_START_DISTANCE_RAD", 1e-3)
    before = env.reset(range(16)).state
    down = np.tile(np.array([0.0, 0.0, -0.04, 0.07], np.float32), (16, env.spec.horizon, 1))
    still = np.tile(np.array([0.0, 0.0, 0.0, 0.07], np.float32), (16, env.spec.horizon, 1))
    np.testing.assert_allclose(env.step(down).observations.state, before, atol=1e-3)
    monkeypatch.undo()
    assert np.abs(env.step(down).observations.state - before)[:, :6].max() > 0.1
    assert not env.step(still).fault.any()


def test_a_privileged_state_tells_where_bodies_are_and_needs_no_camera():
    spec = task_spec("pick_cube", cameras=(), privileged=True)
    names = [field.name for field in spec.state[7:]]
    assert names == ["red_x", "red_y", "red_z", "blue_x", "blue_y", "blue_z"]
    env = BatchEnv("pick_cube", 3, video_size=(32, 24), spec=spec)
    seen = env.reset([7, 8, 9])
    assert seen.images == {} and seen.state.shape == (3, 13) and seen.state.dtype == np.float32
    for row in range(3):
        poses = env.episode(row).layout.poses
        np.testing.assert_allclose(seen.state[row, 7:10], poses["red"][:3], atol=1e-3)
        np.testing.assert_allclose(seen.state[row, 10:], poses["blue"][:3], atol=1e-3)
        target = 7 if env.episode(row).layout.target == "red" else 10
        np.testing.assert_array_equal(seen.state[row, target : target + 3], seen.target_position[row])
    for _ in range(5):
        seen = env.step(env.expert_actions()).observations
    assert seen.state[:, [9, 12]].max() > 0.03  # the lifted cube
    assert env.render_video_frame(0).shape == (24, 32, 3)
    env.close()


def test_steps_and_violations_are_counted(monkeypatch):
    env = BatchEnv("reach_target", 2, cameras=[])
    env.reset([1, 2])
    still = np.zeros((env.spec.horizon, 4))
    still[:, 3] = 0.03
    away = still.copy()
    away[:, 0] = 0.04
    result = env.step(np.stack([still, still]).astype(np.float32))
    assert env.executed["chunks"] == 2
    assert env.executed["steps"] == result.executed_steps.sum()
    assert (env.executed["refused"], env.executed["late"]) == (0, 0)
    monkeypatch.setattr("sim_train.envs.batch_env.LATE_RAD", -1.0)
    monkeypatch.setattr("sim_train.envs.batch_env.MAX_START_DISTANCE_RAD", 1e-3)
    env.step(np.stack([away, away]).astype(np.float32))
    assert (env.executed["refused"], env.executed["late"]) == (2, 2)
    env.close()
