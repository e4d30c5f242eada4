"""Chunks that are held to what the arm does meanwhile."""

import dataclasses

import numpy as np
import pytest
import torch
from policy_api.schema import Committed
from toy_env import PHRASES, TOY_SPEC

from sim_train.policies.flow_exploration import ExplorationConfig
from sim_train.policies.flow_guidance import Guide, held, soft_weights
from sim_train.policies.flow_policy import FlowPolicy
from sim_train.policies.flow_prefix import PrefixConfig
from sim_train.policies.flow_vla import FlowVla, FlowVlaConfig
from sim_train.policies.text import build_vocabulary

HORIZON = 16
SPEC = dataclasses.replace(TOY_SPEC, horizon=HORIZON)
A = len(SPEC.action)
LOWER, UPPER = (np.array([getattr(field, end) for field in SPEC.action]) for end in ("lower", "upper"))


class SmoothFlow(FlowPolicy):
    """The exact flow of a known distribution of chunks: normal, smooth over `length` rows, 0.5 wide in -1..1."""

    def __init__(self, steps=5, length=4.0):
        super().__init__(SPEC, steps, ExplorationConfig(), 2)
        self.weight = torch.nn.Parameter(torch.zeros(1))  # says which device it is on
        rows = torch.arange(HORIZON)
        self.covariance = 0.25 * torch.exp(-0.5 * ((rows[:, None] - rows) / length) ** 2) + 1e-4 * torch.eye(HORIZON)

    def words(self, instructions):
        return np.zeros((len(instructions), 1), dtype=np.int64)

    def prefix_of(self, inputs):
        return inputs.state

    def flow(self, prefix, x, time):
        t = time[:, None, None]
        spread = (1 - t) ** 2 * self.covariance + t**2 * torch.eye(HORIZON)
        actions = (1 - t) * self.covariance @ torch.linalg.solve(spread, x)
        return (x - actions) / t, x

    def normalise(self, actions):
        return ((actions - torch.from_numpy(LOWER)) / torch.from_numpy(UPPER - LOWER) * 2 - 1).float()

    def in_units(self, x):
        return (LOWER + (x.numpy().astype(np.float64) + 1) / 2 * (UPPER - LOWER)).astype(np.float32)

    def imitation_loss(self, inputs, actions, weights, target_position, config, draws):
        raise AssertionError("an exact flow has nothing to learn")


def seen(batch, seed=0):
    rng = np.random.default_rng(seed)
    images = {"front": rng.integers(0, 255, (batch, 16, 16, 3), dtype=np.uint8)}
    return images, rng.normal(size=(batch, 7)).astype(np.float32), [PHRASES[i % 2] for i in range(batch)]


def wave(rows, phase=1.0):
    """(rows, A) a smooth motion within the middle of the range."""
    share = 0.5 + 0.2 * np.sin(np.arange(rows) / 5 + phase)
    return (LOWER + share[:, None] * (UPPER - LOWER)).astype(np.float32)


def in_range(difference):
    """Largest difference (..., A) as a share of half the range."""
    return float((np.abs(difference) / (UPPER - LOWER) * 2).max())


def tiny_vla():
    torch.manual_seed(0)
    prefix = PrefixConfig(d_model=24, layers=2, heads=2, mlp=32, channels=(4, 8, 8), visual_tokens=1, text_tokens=4)
    return FlowVla(SPEC, FlowVlaConfig(prefix, expert_width=16, expert_mlp=32), build_vocabulary(PHRASES))


def test_weights_are_those_of_the_paper():
    weights = soft_weights(delay=2, committed=5, rows=8)
    assert weights.dtype == np.float32
    c = np.array([3, 2, 1]) / 4
    np.testing.assert_allclose(weights, [1, 1, *(c * (np.exp(c) - 1) / (np.e - 1)), 0, 0, 0], rtol=1e-6)
    np.testing.assert_array_equal(soft_weights(3, 3, 5), [1, 1, 1, 0, 0])
    assert (np.diff(soft_weights(0, 6, 6)) < 0).all()
    assert soft_weights(0, 6, 6)[0] < 1


def test_the_last_committed_action_is_held_and_never_zero():
    actions = held([Committed(wave(3), 1), None], HORIZON, A)
    np.testing.assert_array_equal(actions[0, :3], wave(3))
    np.testing.assert_array_equal(actions[0, 3:], np.repeat(wave(3)[2:], HORIZON - 3, axis=0))


@pytest.mark.parametrize("steps", [2, 4, 5, 10])
@pytest.mark.parametrize("length", [2.0, 4.0, 8.0])
def test_frozen_steps_are_kept_and_the_seam_is_small(steps, length):
    policy = SmoothFlow(steps, length)
    free = policy.act(*seen(1)).actions[0]
    bound = policy.act(*seen(1), committed=[Committed(wave(8), 4)]).actions[0]
    assert in_range(bound[:4] - wave(4)) < 1e-5
    assert in_range(free[:4] - wave(4)) > 0.5
    seam, free_seam = (in_range(chunk[4] - wave(4)[3]) for chunk in (bound, free))
    assert seam < 0.5 * free_seam


@pytest.mark.parametrize(("steps", "tolerance"), [(2, 0.25), (4, 0.15), (5, 0.15), (10, 0.2)])
def test_the_flow_itself_leads_to_the_committed_actions(steps, tolerance, monkeypatch):
    monkeypatch.setattr(Guide, "finished", lambda self, x: x)
    bound = SmoothFlow(steps).act(*seen(1), committed=[Committed(wave(8), 4)]).actions[0]
    assert in_range(bound[:4] - wave(4)) < tolerance  # of half the range; the free chunk is 0.8 away


def test_later_rows_are_held_less_and_rows_after_are_free():
    policy = SmoothFlow()
    bound = policy.act(*seen(1), committed=[Committed(wave(8), 2)]).actions[0]
    free = policy.act(*seen(1)).actions[0]
    pulled = [in_range(bound[i] - wave(8)[i]) / in_range(free[i] - wave(8)[i]) for i in (1, 6)]
    assert pulled[0] < pulled[1]
    assert in_range(bound[-1] - free[-1]) < 0.15


def test_different_rows_of_a_batch_follow_different_prefixes():
    policy = SmoothFlow()
    prefixes = [Committed(wave(8, 0.0), 4), None, Committed(wave(5, 3.0), 2), Committed(wave(1, 2.0), 0)]
    together = policy.act(*seen(4), committed=prefixes).actions
    for i, prefix in enumerate(prefixes):
        images, state, texts = seen(4)
        alone = policy.act({"front": images["front"][i : i + 1]}, state[i : i + 1], texts[:1], committed=[prefix])
        np.testing.assert_allclose(together[i], alone.actions[0], atol=1e-5)
    assert in_range(together[0][:4] - wave(4, 0.0)) < 1e-5
    assert in_range(together[2][:2] - wave(2, 3.0)) < 1e-5


@pytest.mark.parametrize("make", [SmoothFlow, tiny_vla])
def test_without_a_prefix_the_answer_is_what_it_was_bit_for_bit(make):
    policy = make()
    plain = policy.act(*seen(3)).actions
    np.testing.assert_array_equal(policy.act(*seen(3), committed=None).actions, plain)
    np.testing.assert_array_equal(policy.act(*seen(3), committed=[None] * 3).actions, plain)
    mixed = policy.act(*seen(3), committed=[None, Committed(wave(6), 3), None]).actions
    np.testing.assert_array_equal(mixed[[0, 2]], plain[[0, 2]])
    assert np.abs(mixed[1] - plain[1]).max() > 1e-4


def test_a_pull_never_overshoots_however_few_steps_there_are():
    guide = Guide.of([Committed(wave(4), 4)], torch.zeros(1, HORIZON, A), steps=1)
    assert guide.limit == 1
    assert Guide.of([None], torch.zeros(1, HORIZON, A), steps=10).limit == 5
    x = torch.randn(1, HORIZON, A, generator=torch.Generator().manual_seed(0))
    free = guide.velocity(lambda x, time: 0 * x, x, 1.0)
    after = x - free  # one step to the end; the flow alone would stay
    np.testing.assert_allclose(after[0, :4], torch.zeros(4, A), atol=1e-6)
    np.testing.assert_array_equal(after[0, 4:], x[0, 4:])


def test_acting_leaves_no_gradient_behind():
    policy = tiny_vla()
    policy.act(*seen(1), committed=[Committed(wave(6), 3)])
    assert all(parameter.grad is None for parameter in policy.parameters())


@pytest.mark.parametrize(
    ("committed", "words"),
    [
        ([Committed(wave(HORIZON + 1), 1)], "committed actions of shape"),
        ([Committed(np.zeros((0, A), np.float32), 0)], "committed actions of shape"),
        ([Committed(np.zeros((3, A + 1), np.float32), 0)], "committed actions of shape"),
        ([Committed(wave(3), 4)], "delay of 4 steps"),
        ([Committed(wave(3), 1), None], "2 entries for 1 observations"),
    ],
)
def test_a_prefix_that_does_not_fit_is_refused(committed, words):
    with pytest.raises(ValueError, match=words):
        SmoothFlow().act(*seen(1), committed=committed)


def test_a_policy_that_explores_is_not_held():
    with pytest.raises(ValueError, match="cannot be held"):
        SmoothFlow().act(*seen(1), temperature=1.0, committed=[None])


def test_all_but_one_step_can_be_committed():
    policy = SmoothFlow()
    assert policy.prefix_steps == HORIZON - 1
    bound = policy.act(*seen(1), committed=[Committed(wave(HORIZON), HORIZON - 1)]).actions[0]
    assert in_range(bound[:-1] - wave(HORIZON - 1)) < 1e-5
