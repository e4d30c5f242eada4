"""One ratio a chunk: clipping, masks, weights, the gradient, and that it improves a flow policy."""

import numpy as np
import pytest
import torch
from flow_toy import SHAPE, make_policy, observation, shares_of_modes, trained_on_two_modes

from sim_train.algorithms.advantages import grpo_advantages
from sim_train.algorithms.grpo import ClipConfig, executed_mask, grpo_loss
from sim_train.algorithms.items import item_weights, mean_per_item, per_item
from sim_train.algorithms.updater import UpdateConfig, Updater
from sim_train.rollouts.trajectories import Trajectories

ROWS = 12


def one_chunk(log_ratios, advantage, clip, mask=None):
    """Loss and gradient of a single chunk whose numbers moved by the given log-ratios."""
    now = torch.tensor(log_ratios)[None].requires_grad_()
    mask = torch.ones_like(now) if mask is None else torch.tensor(mask)[None]
    items = per_item(now, mask, "chunk")
    weights = item_weights(mask, "chunk", torch.zeros(1, dtype=torch.int64), 1, 0)
    loss, report = grpo_loss(items, torch.zeros_like(items), torch.tensor([advantage]), weights, clip)
    loss.backward()
    return loss.item(), now.grad[0], report


def played(policy, rows=ROWS, seed=0, executed=None):
    """One chunk in each of `rows` worlds, all with the same observation."""
    size = policy.draw_size
    draws = np.stack([np.random.default_rng([seed, i]).random(size, dtype=np.float32) for i in range(rows)])
    images, state, texts = observation(rows)
    out = policy.act(images, state, texts, 1.0, draws)
    ones, none = np.ones(rows, dtype=np.int64), np.zeros(rows, dtype=np.int64)
    return Trajectories(
        images=images,
        state=state,
        target_position=np.zeros((rows, 3), np.float32),
        actions=out.actions,
        drawn=out.drawn,
        log_probs=out.log_probs,
        executed_steps=ones * SHAPE[0] if executed is None else executed,
        length=ones,
        group=none,
        seed=none,
        task=none,
        success=np.abs(out.actions[:, 0, 0] - 0.03) < 0.01,
        version=none,
        instructions=tuple(texts),
    )


@pytest.mark.parametrize(
    ("ratio", "advantage", "clip", "loss", "gradient"),
    [
        (1.0, 1.0, ClipConfig(), -1.0, -1.0),
        (1.25, 1.0, ClipConfig(), -1.25, -1.25),
        (1.25, 1.0, ClipConfig(high=0.2), -1.2, 0.0),
        (1.3, 1.0, ClipConfig(), -1.28, 0.0),
        (0.7, -1.0, ClipConfig(), 0.8, 0.0),
        (0.7, -1.0, ClipConfig(low=0.4), 0.7, 0.7),
        (5.0, -1.0, ClipConfig(), 3.0, 0.0),
    ],
)
def test_all_numbers_of_a_chunk_share_one_clipped_ratio(ratio, advantage, clip, loss, gradient):
    parts = np.log(ratio) * np.array([[0.5, 0.25], [0.5, -0.25]], np.float32)  # they sum to log ratio
    value, slope, report = one_chunk(parts, advantage, clip)
    assert value == pytest.approx(loss, rel=1e-5)
    assert slope.flatten().tolist() == pytest.approx([gradient] * 4, rel=1e-5)
    assert report.tokens == 1
    assert report.max_ratio_error == pytest.approx(abs(ratio - 1), rel=1e-5, abs=1e-7)


def test_what_was_not_executed_does_not_count():
    executed = executed_mask(torch.tensor([1]), 2, 2)[0].tolist()
    value, slope, _ = one_chunk([[0.1, 0.0], [9.0, -7.0]], 1.0, ClipConfig(), executed)
    assert value == pytest.approx(-np.exp(0.1), rel=1e-5)
    assert (slope[0] != 0).all()
    assert (slope[1] == 0).all()
    mask = torch.tensor(executed)[None]
    assert mean_per_item(torch.tensor([[[2.0, 4.0], [50.0, 60.0]]]), mask, "chunk").item() == 3.0


def test_numbers_with_a_ratio_of_their_own_stay_as_they_are():
    values, mask = torch.randn(3, 2, 4), executed_mask(torch.tensor([1, 2, 1]), 2, 4)
    assert per_item(values, mask, "token") is values
    assert mean_per_item(values, mask, "token") is values


def test_weights_are_means_of_trajectories_or_constant():
    mask, whose = executed_mask(torch.tensor([1, 2, 2, 1]), 2, 4), torch.tensor([0, 0, 0, 1])
    weights = item_weights(mask, "chunk", whose, 2, 0)
    assert weights.flatten().tolist() == pytest.approx([1 / 6, 1 / 6, 1 / 6, 1 / 2])
    assert item_weights(mask, "chunk", whose, 2, 5).flatten().tolist() == pytest.approx([1 / 10] * 4)
    tokens = item_weights(mask, "token", whose, 2, 0)
    assert tokens[0].sum() == pytest.approx(0.5 * 4 / 20)
    assert tokens[3, 1].sum() == 0


def test_what_was_not_executed_does_not_count_in_a_real_chain(threads):
    """Another second half of the chain's stochastic step changes the likelihood, but not the update."""
    weights = []
    for move in (0.0, 0.7):
        policy = make_policy()
        done = played(policy, executed=np.ones(ROWS, dtype=np.int64))
        rows, at = done.drawn["stochastic"].nonzero()
        chain = done.drawn["chain"].copy()
        chain[rows, at + 1, 1:] += move
        done.drawn["chain"] = chain
        inputs = policy.inputs(done.images, done.state, done.instructions)
        likelihood = policy.log_prob(inputs, {n: torch.from_numpy(a) for n, a in done.drawn.items()}, 1.0).log_probs
        assert ((likelihood - torch.from_numpy(done.log_probs)).abs().max() > 0.1) == bool(move)
        Updater(policy, UpdateConfig(), threads).update(
            done, np.linspace(-1, 1, ROWS).astype(np.float32), 1, np.random.default_rng(0)
        )
        weights.append(torch.cat([p.detach().flatten() for p in policy.parameters()]))
    torch.testing.assert_close(weights[0], weights[1], atol=2e-4, rtol=0)


@pytest.mark.parametrize("kind", ["sde", "noise"])
def test_the_gradient_at_ratio_one_is_the_policy_gradient(kind, threads):
    """Against finite differences of sum A log p along random directions, of all weights, the noise net's included."""
    policy = make_policy(kind=kind)
    done = played(policy, executed=np.arange(ROWS) % 2 + 1)
    mask = executed_mask(torch.from_numpy(done.executed_steps), *SHAPE)
    advantages = np.linspace(-1.5, 1, ROWS).astype(np.float32)
    updater = Updater(policy, UpdateConfig(learning_rate=0.0, epochs=1, minibatches=1, grad_clip=1e9), threads)
    report = updater.update(done, advantages, 0, np.random.default_rng(0))
    assert report.first_ratio_error < 1e-5
    parameters = updater.parameters
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in parameters]
    inputs = policy.inputs(done.images, done.state, done.instructions)
    drawn = {name: torch.from_numpy(array) for name, array in done.drawn.items()}

    def objective():
        with torch.no_grad():
            chunks = (policy.log_prob(inputs, drawn, 1.0).log_probs * mask).double().sum(dim=(1, 2))
        return -float(torch.from_numpy(advantages).double() @ chunks) / ROWS

    before = [p.detach().clone() for p in parameters]
    generator = torch.Generator().manual_seed(3)
    for _ in range(3):
        direction = [g.sign() * torch.rand(g.shape, generator=generator) for g in gradients]
        slope = sum(float((g.double() * d).sum()) for g, d in zip(gradients, direction, strict=True))
        values = []
        for sign in (1, -1):
            for p, start, d in zip(parameters, before, direction, strict=True):
                p.data.copy_(start + sign * 1e-4 * d)
            values.append(objective())
        assert (values[0] - values[1]) / 2e-4 == pytest.approx(slope, rel=0.01)


def test_the_entropy_bonus_widens_learned_noise(threads):
    policy = make_policy(kind="noise")
    done = played(policy)
    config = UpdateConfig(learning_rate=0.01, warmup_steps=0, weight_decay=0.0, epochs=1, minibatches=1, entropy=0.005)
    updater = Updater(policy, config, threads)
    nothing, rng = np.zeros(ROWS, np.float32), np.random.default_rng(0)
    before = {name: value.clone() for name, value in policy.named_parameters()}
    entropies = [updater.update(done, nothing, 0, rng).entropy for _ in range(5)]
    assert entropies[-1] > entropies[0]
    moved = {name for name, value in policy.named_parameters() if not torch.equal(value, before[name])}
    assert any(name.startswith("exploration.") for name in moved)


@pytest.mark.parametrize(("kind", "groups", "rate", "entropy"), [("sde", 16, 3e-3, 0.0), ("noise", 32, 4e-3, 0.005)])
def test_reinforcement_turns_the_rarer_mode_into_the_usual_one(kind, groups, rate, entropy, threads):
    """Success is the mode that the demonstrations show three times in eight."""
    policy = trained_on_two_modes(kind=kind)
    before, _ = shares_of_modes(policy)
    assert 0.2 < before < 0.4
    config = UpdateConfig(rate, warmup_steps=0, weight_decay=0.0, epochs=4, minibatches=1, entropy=entropy)
    updater, rng = Updater(policy, config, threads), np.random.default_rng(0)
    for update in range(12):
        done = played(policy, groups * 8, update)
        rewards = done.success.astype(np.float32).reshape(groups, 8)
        updater.update(done, grpo_advantages(rewards).ravel(), 0, rng)
    after, _ = shares_of_modes(policy)
    assert after > 0.8
