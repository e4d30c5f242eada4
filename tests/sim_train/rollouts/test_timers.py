"""Seconds of a worker, by what it did."""

import time
from collections import Counter

import pytest

from sim_train.envs import BatchEnv
from sim_train.rollouts.calls import PlayReport
from sim_train.rollouts.timers import Spent, Stopwatch


class Rendering:
    def __init__(self):
        self.render_s = 1.0


def test_pictures_are_taken_out_of_the_time_of_an_environment():
    watch, env = Stopwatch(), Rendering()
    with watch.environment(env):
        time.sleep(0.06)
        env.render_s += 0.04
    with watch.inference():
        time.sleep(0.02)
    spent = watch.take()
    assert spent.render_s == pytest.approx(0.04)
    assert 0.02 <= spent.environment_s < 0.06
    assert spent.inference_s >= 0.02
    assert spent.cpu_s < 0.05  # it slept
    assert watch.take().busy_s == 0.0


def test_processor_time_of_others_is_counted():
    watch = Stopwatch()
    watch.count(2.0)
    watch.count(0.5)
    assert watch.take().cpu_s == pytest.approx(2.5, abs=0.5)
    assert watch.take().cpu_s < 0.5


def test_what_is_not_accounted_for_is_idle():
    total = Spent()
    for _ in range(2):
        total.add(Spent(1.0, 0.5, 0.25, 1.5))
    assert total == Spent(2.0, 1.0, 0.5, 3.0)
    assert PlayReport(2.5, 0, 0, workers=2, spent=total).idle_s == pytest.approx(1.5)
    assert PlayReport(0.1, 0, 0, workers=1, spent=total).idle_s == 0.0


def test_worlds_count_the_seconds_of_their_pictures():
    env = BatchEnv("reach_target", 2)
    began = time.perf_counter()
    env.reset([1, 2])
    assert 0 < env.render_s < time.perf_counter() - began
    env.close()


def test_what_an_environment_executed_is_added_up():
    class Counting:
        def __init__(self):
            self.executed = Counter(chunks=3)

    env, watch, total = Counting(), Stopwatch(), Spent()
    for steps in (5, 7):
        with watch.environment(env):
            env.executed.update(chunks=2, steps=steps, refused=0)
        total.add(watch.take())
    assert total.executed == Counter(chunks=4, steps=12)
