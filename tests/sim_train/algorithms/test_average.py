"""The running mean of weights, and who plays with it."""

import numpy as np
import pytest
import torch

from sim_train.algorithms.average import WeightAverage
from sim_train.stages.learner_state import learner_state, restore_learner


def walk(decay, values):
    parameter = torch.nn.Parameter(torch.zeros(3))
    average = WeightAverage([parameter], decay)
    for step, value in enumerate(values, 1):
        with torch.no_grad():
            parameter.fill_(value)
        average.follow(step)
    return parameter, average


def test_it_forgets_the_start_and_settles_on_what_stays():
    values = [1.0] * 10 + [5.0] * 400
    parameter, average = walk(0.98, values)
    mean = 0.0
    for step, value in enumerate(values, 1):
        keep = min(0.98, step / (step + 10))
        mean = keep * mean + (1 - keep) * value
    average.exchange()
    assert parameter.detach().numpy() == pytest.approx(mean, abs=1e-4)
    assert mean == pytest.approx(5.0, abs=0.01)


def test_two_exchanges_change_nothing_and_without_decay_one_does_not_either():
    parameter, average = walk(0.9, [1.0, 2.0])
    average.exchange()
    assert not torch.equal(parameter, torch.full((3,), 2.0))
    average.exchange()
    assert torch.equal(parameter, torch.full((3,), 2.0))
    parameter, average = walk(0.0, [1.0, 2.0])
    average.exchange()
    assert torch.equal(parameter, torch.full((3,), 2.0))


def test_the_average_is_validated_and_kept_and_the_present_weights_play_on(reinforcement, weights):
    learner = reinforcement()
    pool, seen = learner.run.pool, []
    play = pool.play
    pool.play = lambda *given, **named: seen.append(weights(pool.policy)) or play(*given, **named)
    for _ in range(3):
        learner.advance()
    present = weights(learner.policy)
    seen.clear()
    learner.check()
    assert not torch.equal(seen[0], present)
    assert torch.equal(weights(learner.policy), present)
    learner.learning.call("take", learner.best_arrays, "best.")
    assert torch.equal(weights(learner.policy), seen[0])


@pytest.mark.parametrize("decay", [0.98, 0.0])
def test_a_resumed_learner_has_the_same_average(reinforcement, weights, decay):
    first = reinforcement(update={"ema_decay": decay})
    for _ in range(2):
        first.advance()
    second = reinforcement(update={"ema_decay": decay})
    restore_learner(second, learner_state(first))
    for learner in (first, second):
        learner.advance()
        learner.learning.call("exchange")
    found = [weights(learner.policy).numpy() for learner in (first, second)]
    np.testing.assert_allclose(*found, atol=1e-6)
