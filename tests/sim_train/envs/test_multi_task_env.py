"""Several tasks in one environment: each as in an environment of its own, in no more worlds than asked for."""

import numpy as np
import pytest

from sim_train.envs import task_spec
from sim_train.envs.multi_task_env import MultiTaskEnv
from sim_train.envs.settings import WorldSettings, make_environment

TASKS = "pick_cube+click_bell+push_cube"


@pytest.fixture(scope="module")
def env():
    env = make_environment(WorldSettings(TASKS), 6)
    yield env
    env.close()


def test_one_contract_names_all_tasks(env):
    assert isinstance(env, MultiTaskEnv)
    assert env.spec == task_spec(TASKS) and env.spec.task == TASKS
    assert env.max_chunks == 6  # of push_cube, the longest
    assert task_spec("pick_cube").task == "pick_cube"


def test_tasks_whose_contracts_differ_are_refused_together():
    with pytest.raises(ValueError, match=r"'pick_cube' and 'lift_pot': their contracts differ \(state: 7 .* 14"):
        task_spec("pick_cube+lift_pot")
    with pytest.raises(ValueError, match="names a task twice"):
        task_spec("pick_cube+pick_cube")
    with pytest.raises(ValueError, match="unknown task 'magic'"):
        task_spec("pick_cube+magic")


def test_episodes_are_those_of_an_environment_with_only_their_task(env):
    seeds, tasks = [11, 12, 13, 14, 15, 16], [2, 0, 1, 0, 2, 1]
    seen = env.reset(seeds, range(6), tasks)
    chunks = [env.expert_actions(range(6))]
    results = [env.step(chunks[0], range(6))]
    chunks.append(env.expert_actions([5, 3, 0]))  # any worlds in any order
    results.append(env.step(chunks[1], [5, 3, 0]))
    for number, name in enumerate(TASKS.split("+")):
        alone = make_environment(WorldSettings(name), 6)
        rows = [i for i, task in enumerate(tasks) if task == number]
        alone.reset([seeds[i] for i in rows], rows)
        first = alone.reset([seeds[i] for i in rows], rows)
        np.testing.assert_array_equal(seen.images["front"][rows], first.images["front"])
        assert [seen.instructions[i] for i in rows] == first.instructions
        np.testing.assert_array_equal(chunks[0][rows], alone.expert_actions(rows))
        result = alone.step(chunks[0][rows], rows)
        np.testing.assert_allclose(results[0].observations.state[rows], result.observations.state, atol=1e-6)
        np.testing.assert_array_equal(
            results[0].observations.images["front"][rows], result.observations.images["front"]
        )
        for place, world in enumerate([5, 3, 0]):
            if tasks[world] == number:
                again = alone.step(chunks[1][place : place + 1], [world])
                assert results[1].success[place] == again.success[0]
                assert results[1].executed_steps[place] == again.executed_steps[0]
                np.testing.assert_allclose(
                    results[1].observations.target_position[place], again.observations.target_position[0], atol=1e-6
                )
        alone.close()


def test_each_task_has_its_own_end(env):
    env.reset([1, 2, 3], [0, 1, 2], [0, 1, 2])
    still = np.zeros((3, env.spec.horizon, 4), np.float32)
    still[..., 3] = 0.07
    ended = [env.step(still, [0, 1, 2]).done.tolist() for _ in range(6)]
    assert [[row[task] for row in ended].index(True) + 1 for task in range(3)] == [5, 3, 6]


def test_worlds_are_shared_out_among_tasks(env):
    for task in range(3):
        env.reset([1, 2], [4, 5], [task, task])
    assert {id(one.engine) for one in env._envs.values()} == {id(env._engine)}
    assert len(env._engine._places) == env.num_envs


def test_what_does_not_exist_is_refused(env):
    with pytest.raises(ValueError, match="no task number 3"):
        env.reset([1], [0], [3])
    with pytest.raises(ValueError, match="one of each a world"):
        env.reset([1, 2], [0, 1], [0])
    with pytest.raises(ValueError, match=r"level of an episode is 1\.5"):
        env.reset([1], [0], [0], [1.5])
    fresh = make_environment(WorldSettings(TASKS), 1)
    with pytest.raises(ValueError, match="no episode yet"):
        fresh.expert_actions([0])
    fresh.close()


def test_a_level_moves_the_knobs_of_an_episode():
    settings = WorldSettings("pick_cube", knobs={"yaw": 0.0}, curriculum={"spread": (0.5, 1.0)})
    env = make_environment(settings, 3)
    easy = env.reset([5, 6, 5], [0, 1, 2], levels=[0.0, 0.5, 1.0])
    middle = np.array([0.33, 0.0])
    away = [np.abs(easy.target_position[i, :2] - middle) for i in range(3)]
    assert (away[0] <= np.array([0.03, 0.055]) + 1e-6).all()
    full = make_environment(WorldSettings("pick_cube", knobs={"yaw": 0.0}), 1)
    np.testing.assert_array_equal(full.reset([5]).target_position[0], easy.target_position[2])
    np.testing.assert_array_equal(env.reset([5], [0], levels=[0.0]).target_position[0], easy.target_position[0])
    assert [env._of[i].task.spread for i in range(3)] == [0.5, 0.75, 1.0]
    env.close()
    full.close()


def test_knobs_go_to_the_tasks_that_have_them():
    settings = WorldSettings("pick_cube+click_bell", knobs={"mass": 0.5, "spread": 0.4})
    assert settings.make_task(0).spread == settings.make_task(1).spread == 0.4
    assert settings.make_task(1).mass == 0.5
    assert settings.only("pick_cube").knobs == {"spread": 0.4}
    with pytest.raises(ValueError, match="has no knob 'size'"):
        make_environment(WorldSettings("pick_cube+click_bell", knobs={"size": 1.0}), 1)
    with pytest.raises(ValueError, match="make_environment"):
        settings.make(1)
