"""Reinforcement while the next episodes are being played: never more than one version old, and resumed."""

import dataclasses

import numpy as np
import pytest
import torch

from sim_train.rollouts.ahead import AheadEngine, StaleError
from sim_train.rollouts.trajectories import Trajectories
from sim_train.stages.learner_state import learner_state, restore_learner


@pytest.fixture
def asynchronous(reinforcement):
    """An RL stage that plays ahead, in a thread of this process."""
    made = []

    def make(**settings):
        learner = reinforcement(**settings)
        made.append(AheadEngine(learner.run.pool))
        learner.run = dataclasses.replace(learner.run, pool=made[-1])
        return learner

    yield make
    for engine in made:
        engine.close()


@pytest.mark.parametrize("settings", [{}, {"algorithm": "ppo"}])
def test_an_update_learns_from_what_was_played_during_the_one_before(asynchronous, settings):
    learner = asynchronous(min_start=0.0, **settings)
    records = [learner.advance() for _ in range(4)]
    ages = [record["staleness"] for record in records if "staleness" in record]
    assert ages[0] == 0
    assert max(ages) <= 1
    assert sum(ages) > 0.5
    stale = [record for record in records if record.get("staleness")]
    assert all(record["behaviour_weight"] is not None for record in stale)
    assert all(record["first_ratio_error"] < 1e-5 for record in stale)
    seeds = learner.run.pool.engine.seeds
    learner.run.pool._settle()
    assert len(seeds) == len(set(seeds))  # nothing is played twice


def test_it_learns_as_well(asynchronous):
    learner = asynchronous(update={"learning_rate": 3e-3, "warmup_steps": 1})
    before = learner.check().rate
    for _ in range(25):
        learner.advance()
    assert learner.check().rate >= max(before, 0.75)


def test_what_is_too_old_is_refused(asynchronous, monkeypatch):
    learner = asynchronous(min_start=0.0)
    learner.advance()
    collect = learner.run.pool.collect

    def older():
        played, report = collect()
        aged = played.arrays() | {"version": played.version - 1}
        return Trajectories.from_arrays(aged), report

    monkeypatch.setattr(learner.run.pool, "collect", older)
    with pytest.raises(StaleError, match="version -1 came to weights of version 1"):
        learner.advance()


def test_a_resumed_run_plays_again_what_was_under_way(asynchronous):
    first = asynchronous(min_start=0.0)
    first.advance()
    state = learner_state(first)
    assert first.run.pool.pending
    under_way = (first.seeds.used, first.episodes)
    second = asynchronous(min_start=0.0)
    restore_learner(second, state)
    assert second.seeds.used < under_way[0]
    assert second.episodes == under_way[1]
    before = [p.detach().clone() for p in second.policy.parameters()]
    assert all(torch.equal(a, b) for a, b in zip(before, first.policy.parameters(), strict=True))
    first.advance()
    second.advance()
    shared = len(second.run.pool.engine.seeds)
    first.run.pool._settle()
    second.run.pool._settle()
    both = [learner.run.pool.engine.seeds for learner in (first, second)]
    assert shared
    assert both[1][0] in both[0]  # the same starting points, though with newer weights
    assert second.episodes >= under_way[1]
    assert np.isfinite(second.seconds)
