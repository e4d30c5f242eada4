"""Groups are dealt out to tasks as evenly as they come, or to where there is most to learn."""

import json

import pytest

from sim_train.algorithms.task_mix import TaskMix


def test_even_shares_hold_at_any_time():
    mix = TaskMix(3, "even")
    dealt = mix.deal(4) + mix.deal(1) + mix.deal(20)
    for count in range(1, 26):
        for task in range(3):
            assert abs(dealt[:count].count(task) - count / 3) < 1
    assert TaskMix(1, "even").deal(5) == [0] * 5


def test_learnable_shares_favour_success_near_a_half():
    mix = TaskMix(3, "learnable")
    assert mix.shares == pytest.approx([1 / 3] * 3)
    for _ in range(40):
        for task, success in enumerate((0.5, 0.97, 0.0)):
            mix.observe(task, success)
    half, mastered, hopeless = mix.shares
    assert half > 4 * mastered and mastered > hopeless > 0.05
    dealt = mix.deal(200)
    assert [dealt.count(task) / 200 for task in range(3)] == pytest.approx(mix.shares, abs=0.01)


def test_even_shares_do_not_look_at_success():
    mix = TaskMix(2, "even")
    for _ in range(10):
        mix.observe(1, 1.0)
    assert mix.shares == [0.5, 0.5]


def test_it_goes_on_where_it_was():
    mix = TaskMix(3, "learnable")
    mix.deal(4)
    mix.observe(2, 0.9)
    again = TaskMix(3, "learnable")
    again.restore(json.loads(json.dumps(mix.state())))
    assert again.deal(10) == mix.deal(10)


@pytest.mark.parametrize(("tasks", "weights"), [(0, "even"), (2, "fair")])
def test_what_makes_no_mix_is_refused(tasks, weights):
    with pytest.raises(ValueError, match="a mix needs"):
        TaskMix(tasks, weights)
