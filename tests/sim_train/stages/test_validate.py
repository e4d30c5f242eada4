"""Validation plays every task equally often, at full difficulty, on seeds that nothing trains on."""

from types import SimpleNamespace

import numpy as np
import pytest

from sim_train.stages.seeds import VALIDATION
from sim_train.stages.validate import SuccessRate, episodes_each, validate
from sim_train.typed import build


class KnownPool:
    """Task 0 always succeeds, task 1 on even seeds, others never."""

    def set_policy(self, policy, version):
        self.policy = policy, version

    def play(self, jobs, task, seed):
        self.jobs, self.task = jobs, task
        success = [job.task == 0 or (job.task == 1 and job.seed % 2 == 0) for job in jobs]
        return SimpleNamespace(success=np.array(success), task=np.array([job.task for job in jobs])), None


def test_every_task_has_the_same_number_of_episodes():
    pool = KnownPool()
    result = validate(pool, "policy", 3, 10, 0.5, ("a", "b", "c"))
    assert pool.policy == ("policy", 3) and pool.task.temperature == 0.5
    assert {name: (one.successes, one.episodes) for name, one in result.tasks.items()} == {
        "a": (4, 4),
        "b": (2, 4),
        "c": (0, 4),
    }
    assert result.rate == np.mean([one.rate for one in result.tasks.values()]) == 0.5
    assert len({job.group for job in pool.jobs}) == 12
    assert all(job.seed in VALIDATION and job.level == 1.0 for job in pool.jobs)
    assert str(result).endswith("12 episodes: a 100%, b 50%, c 0%)")
    plain = result.to_plain()
    assert plain["tasks"]["b"]["success_ci95"] == pytest.approx([0.15, 0.85], abs=0.01)
    assert build(SuccessRate, {"successes": 6, "episodes": 12, "tasks": {"a": {"successes": 4, "episodes": 4}}}).tasks[
        "a"
    ] == SuccessRate(4, 4)


def test_one_task_needs_no_name():
    result = validate(KnownPool(), None, 0, 7)
    assert (result.successes, result.episodes, dict(result.tasks)) == (7, 7, {})
    assert "tasks" not in result.to_plain()


def test_there_are_at_least_the_episodes_asked_for():
    assert [episodes_each(10, tasks) for tasks in (1, 2, 3, 11)] == [10, 5, 4, 1]
