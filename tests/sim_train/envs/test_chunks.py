"""Chunks longer than a script's phases."""

import dataclasses

import numpy as np
import pytest

from sim_train.config import ConfigError, from_plain
from sim_train.envs.chunks import REST_STEPS, TASK_HORIZON, episode_chunks, parts_of
from sim_train.envs.contract import ContractConfig
from sim_train.envs.settings import WorldSettings, make_environment


def test_parts_and_their_rests_fill_a_chunk():
    assert [parts_of(horizon) for horizon in (4, 9, 10, 16, 25)] == [[4], [9], [4, 4], [4, 4, 4], [4, 4, 4, 7]]
    for horizon in range(4, 51):
        parts = parts_of(horizon)
        assert sum(parts) + REST_STEPS * (len(parts) - 1) == horizon and min(parts) >= TASK_HORIZON
        for chunks in (1, 3, 5, 9):
            most = episode_chunks(chunks, horizon)
            assert (most - 1) * len(parts) < chunks <= most * len(parts)
            assert most * (horizon + REST_STEPS) >= chunks * (TASK_HORIZON + REST_STEPS)  # no less time


@pytest.mark.parametrize(("task", "horizon"), [("pick_cube", 8), ("pick_cube", 25), ("handover_block", 25)])
def test_the_expert_succeeds_with_chunks_of_any_length(task, horizon):
    contract = ContractConfig(cameras=(), privileged=True, horizon=horizon)
    worlds = WorldSettings(task, randomization="mild", contract=contract)
    env = make_environment(worlds, 8)
    assert env.spec.horizon == horizon and ContractConfig.of(env.spec) == contract
    env.reset(range(100, 108))
    alive, success = np.arange(8), np.zeros(8, bool)
    while len(alive):
        chunk = env.expert_actions(alive)
        assert chunk.shape == (len(alive), horizon, len(env.spec.action))
        result = env.step(chunk, alive)
        success[alive] = result.success
        alive = alive[~result.done]
    env.close()
    assert success.mean() >= 0.75


def test_what_the_expert_tries_is_undone():
    """It leaves nothing behind: neither in worlds nor in commands, counts or late setpoints."""
    contract = ContractConfig(cameras=(), privileged=True, horizon=25)
    env = WorldSettings("pick_cube", randomization="wide", contract=contract).make(2)
    env.reset([7, 8])
    before = env.states()
    chunk = env.expert_actions()
    np.testing.assert_array_equal(env.expert_actions(), chunk)
    for ours, theirs in zip(dataclasses.astuple(env.states()), dataclasses.astuple(before), strict=True):
        np.testing.assert_equal(ours, theirs)
    assert not env.executed["steps"]
    seen = env.step(chunk).observations.state
    env.reset([7, 8])
    np.testing.assert_array_equal(env.step(chunk).observations.state, seen)
    env.close()


def test_lengths_that_cannot_work_are_refused():
    for horizon in (3, 51):
        with pytest.raises(ConfigError, match=rf"horizon is {horizon}; a chunk has 4\.\.50 steps"):
            from_plain({"output_dir": "x", "task": "pick_cube+push_cube", "contract": {"horizon": horizon}})
        with pytest.raises(ValueError, match=rf"horizon is {horizon}"):
            ContractConfig(horizon=horizon).spec("pick_cube")
    with pytest.raises(ConfigError, match=r"engine=sapien cannot undo .* contract\.horizon"):
        from_plain({"output_dir": "x", "engine": "sapien", "contract": {"horizon": 25}})
    from_plain({"output_dir": "x", "engine": "sapien", "contract": {"horizon": 8}})
