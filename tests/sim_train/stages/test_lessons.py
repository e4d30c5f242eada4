"""What the groups of an update are about, and what is recorded of them."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from sim_train.curriculum import CurriculumConfig
from sim_train.stages.lessons import Lessons

CURRICULUM = CurriculumConfig({"spread": (0.5, 1.0)}, advance_above=0.6, fall_below=0.2, step=0.5)


def played(groups):
    """Trajectories of groups of two, given as (task, successes)."""
    success = [member < wins for _, wins in groups for member in range(2)]
    return SimpleNamespace(task=np.repeat([task for task, _ in groups], 2), success=np.array(success))


def test_every_group_has_a_task_and_its_level():
    lessons = Lessons(("a", "b"), "even", CURRICULUM, 2)
    lessons.curriculum.restore([0.5, 1.0])
    jobs = lessons.jobs(7, [30, 31, 32])
    assert [(job.group, job.seed, job.members) for job in jobs] == [(7, 30, 2), (8, 31, 2), (9, 32, 2)]
    assert [(job.task, job.level) for job in jobs] == [(0, 0.5), (1, 1.0), (0, 0.5)]


def test_each_task_has_its_figures_and_its_level():
    lessons = Lessons(("a", "b"), "even", CURRICULUM, 2)
    lessons.saw(played([(0, 2), (1, 0)]))  # two waves of one update
    lessons.saw(played([(0, 1), (1, 0), (0, 2)]))
    record = lessons.finish()
    a, b = record["tasks"]["a"], record["tasks"]["b"]
    assert (a["success"], a["groups"], a["share"]) == (pytest.approx(5 / 6), 3, 0.5)
    assert (a["mixed_share"], a["failed_share"], a["succeeded_share"]) == pytest.approx((1 / 3, 0, 2 / 3))
    assert (b["success"], b["groups"], b["failed_share"]) == (0.0, 2, 1.0)
    low, high = a["success_ci95"]
    assert low < a["success"] < high
    low, high = record["success_ci95"]
    assert low < 0.5 < high
    assert record["levels"] == {"a": {"level": 0.0, "spread": 0.5}, "b": {"level": 0.0, "spread": 0.5}}
    assert lessons.curriculum.levels == [0.5, 0.0]  # of the next update
    assert lessons.finish() == {}


def test_a_single_task_has_no_figures_of_its_own():
    lessons = Lessons(("a",), "even", CurriculumConfig(), 2)
    lessons.saw(played([(0, 1), (0, 2)]))
    assert set(lessons.finish()) == {"success_ci95"}
    assert [(job.task, job.level) for job in lessons.jobs(0, [1, 2])] == [(0, 1.0)] * 2


def test_they_go_on_where_they_were():
    lessons = Lessons(("a", "b", "c"), "learnable", CURRICULUM, 2)
    lessons.jobs(0, [1, 2, 3, 4])
    lessons.saw(played([(0, 2), (1, 1), (2, 0), (0, 2)]))
    lessons.finish()
    again = Lessons(("a", "b", "c"), "learnable", CURRICULUM, 2)
    again.restore(json.loads(json.dumps(lessons.state())))
    assert again.jobs(4, list(range(9))) == lessons.jobs(4, list(range(9)))
