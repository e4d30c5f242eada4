"""The flow policy: units, randomness, what it attends to, and the likelihood of what it played."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from safetensors.torch import load, save
from toy_env import PHRASES, TOY_SPEC

from sim_train.checkpoint import load_policy, save_policy
from sim_train.checkpoint.files import WEIGHTS
from sim_train.policies.blueprint import BlueprintError, from_blueprint, to_blueprint
from sim_train.policies.flow_exploration import ExplorationConfig, FlowDraws, FlowNoise, FlowSde
from sim_train.policies.flow_prefix import PrefixConfig
from sim_train.policies.flow_vla import FlowVla, FlowVlaConfig
from sim_train.policies.text import build_vocabulary

TINY = FlowVlaConfig(
    PrefixConfig(d_model=24, layers=2, heads=2, mlp=32, channels=(4, 8, 8), visual_tokens=1, text_tokens=4),
    expert_width=16,
    expert_mlp=32,
)
SHAPE = (TOY_SPEC.horizon, len(TOY_SPEC.action))


def make(seed=0, spec=TOY_SPEC, config=TINY):
    torch.manual_seed(seed)
    return FlowVla(spec, config, build_vocabulary(PHRASES))


@pytest.fixture
def policy():
    return make()


def seen(batch, seed=0):
    rng = np.random.default_rng(seed)
    images = {"front": rng.integers(0, 255, (batch, 16, 16, 3), dtype=np.uint8)}
    return images, rng.normal(size=(batch, 7)).astype(np.float32), [PHRASES[i % 2] for i in range(batch)]


def draws(batch, steps=4, seed=0):
    size = FlowDraws.size(steps, *SHAPE)
    return np.stack([np.random.default_rng([seed, i]).random(size, dtype=np.float32) for i in range(batch)])


def explored(policy, batch, seed=0):
    """What was observed, and the chain that was played."""
    played = policy.act(*seen(batch), temperature=1.0, draws=draws(batch, seed=seed))
    return policy.inputs(*seen(batch)), played, {name: torch.from_numpy(array) for name, array in played.drawn.items()}


def exploring(kind, **changes):
    return make(config=dataclasses.replace(TINY, exploration=ExplorationConfig(kind, **changes)))


def test_the_default_is_small():
    assert sum(p.numel() for p in make(config=FlowVlaConfig()).parameters()) < 1_000_000


def test_shapes_come_from_the_contract_and_actions_lie_in_its_range(policy):
    longer = dataclasses.replace(TOY_SPEC, horizon=5)
    out = make(spec=longer).act(*seen(3))
    assert out.actions.shape == (3, 5, 4)
    assert out.actions.dtype == np.float32
    with torch.no_grad():
        policy.expert.velocity.weight.mul_(50)
    actions = policy.act(*seen(64), temperature=1.0).actions
    lower = np.array([f.lower for f in TOY_SPEC.action], np.float32)
    upper = np.array([f.upper for f in TOY_SPEC.action], np.float32)
    assert (actions >= lower).all()
    assert (actions <= upper).all()
    assert (actions == upper).any(), "the bounds were never reached, so that nothing was tested"


def test_units_make_a_round_trip(policy):
    actions = np.array([[-0.05, 0.0, 0.05, 0.07], [0.01, -0.02, 0.03, 0.0]], np.float32)
    x = policy.normalise(torch.from_numpy(actions))
    np.testing.assert_allclose(x[0], [-1, 0, 1, 1], atol=1e-6)
    np.testing.assert_allclose(policy.in_units(x), actions, atol=1e-8)
    np.testing.assert_allclose(policy.in_units(x * 9)[0], [-0.05, 0.0, 0.05, 0.07], atol=1e-8)


def test_the_answer_is_decided_by_the_draws(policy):
    def at(seed):
        return policy.act(*seen(4), temperature=1.0, draws=draws(4, seed=seed)).actions

    np.testing.assert_array_equal(at(0), at(0))
    assert np.abs(at(0) - at(1)).max() > 1e-3
    np.testing.assert_array_equal(policy.act(*seen(4)).actions, policy.act(*seen(4)).actions)


def test_uniform_draws_become_normal_noise_and_a_step():
    uniform = np.random.default_rng(0).random((5000, FlowDraws.size(4, *SHAPE)), dtype=np.float32)
    uniform[0, 0] = 0.0  # the lowest draw must not give an infinite start
    made = FlowDraws.of(uniform, 5000, 4, *SHAPE)
    for normal in (made.start, made.steps):
        assert torch.isfinite(normal).all()
        assert abs(float(normal.mean())) < 0.03
        assert abs(float(normal.std()) - 1) < 0.03
    assert np.bincount(made.index.numpy()).tolist() == pytest.approx([1250] * 4, abs=120)


@pytest.mark.parametrize("temperature", [0.5, 1.6, -1.0, float("nan")])
def test_other_temperatures_are_refused(policy, temperature):
    with pytest.raises(ValueError, match="temperature"):
        policy.act(*seen(1), temperature=temperature)
    inputs, _, drawn = explored(policy, 2)
    with pytest.raises(ValueError, match="temperature"):
        policy.log_prob(inputs, drawn, temperature)


def test_the_prefix_is_encoded_once_and_the_expert_asked_k_times(policy):
    calls = []
    policy.prefix.register_forward_hook(lambda *_: calls.append("prefix"))
    policy.expert.register_forward_hook(lambda *_: calls.append("expert"))
    policy.act(*seen(2))
    assert calls == ["prefix"] + ["expert"] * TINY.steps


def test_the_answer_depends_on_image_state_instruction_and_time(policy):
    images, state, texts = seen(1)
    x, t = torch.zeros(1, *SHAPE), torch.full((1,), 0.5)

    def answer(*observed, time=t):
        with torch.no_grad():
            return policy.expert(policy.prefix(policy.inputs(*observed)), x, time)[0]

    base = answer(images, state, texts)
    for changed in (
        ({"front": 255 - images["front"]}, state, texts),
        (images, state + 1, texts),
        (images, state, [PHRASES[1]]),
    ):
        assert not torch.allclose(answer(*changed), base, atol=1e-5)
    assert not torch.allclose(answer(images, state, texts, time=t + 0.1), base, atol=1e-5)


def test_padding_is_not_read():
    policy = make(config=dataclasses.replace(TINY, prefix=dataclasses.replace(TINY.prefix, text_tokens=8)))
    before = policy.act(*seen(2)).actions
    with torch.no_grad():
        policy.prefix.language_model.embed_tokens.weight[0] += 3.0
    np.testing.assert_allclose(policy.act(*seen(2)).actions, before, atol=1e-8)


def test_every_step_of_the_chunk_sees_every_other_one(policy):
    x = torch.zeros(1, *SHAPE, requires_grad=True)
    velocity, _ = policy.expert(policy.prefix(policy.inputs(*seen(1))), x, torch.ones(1))
    (seen_by_first,) = torch.autograd.grad(velocity[0, 0].square().sum(), x, retain_graph=True)
    (seen_by_last,) = torch.autograd.grad(velocity[0, -1].square().sum(), x)
    assert seen_by_first[0, -1].abs().max() > 0
    assert seen_by_last[0, 0].abs().max() > 0


def test_a_prefix_can_be_used_again(policy):
    """One pass of the expert leaves nothing behind in the prefix."""
    prefix = policy.prefix(policy.inputs(*seen(2)))
    x, t = torch.randn(2, *SHAPE), torch.ones(2)
    with torch.no_grad():
        assert torch.equal(policy.expert(prefix, x, t)[0], policy.expert(prefix, x, t)[0])


@pytest.mark.parametrize("kind", ["sde", "noise"])
def test_the_likelihood_of_a_stored_chain_is_that_of_the_rollout(kind):
    policy = exploring(kind)
    inputs, played, drawn = explored(policy, 16)
    before = torch.from_numpy(played.log_probs)
    again = policy.log_prob(inputs, drawn, 1.0)
    assert ((again.log_probs - before).sum(dim=(1, 2)).exp() - 1).abs().max() < 1e-5
    shuffled = torch.randperm(16)
    part = policy.log_prob(inputs[shuffled], {name: array[shuffled] for name, array in drawn.items()}, 1.0)
    assert ((part.log_probs - before[shuffled]).sum(dim=(1, 2)).exp() - 1).abs().max() < 1e-5


def test_flow_sde_has_one_random_step_a_row_and_follows_the_flow_elsewhere(policy):
    inputs, _, drawn = explored(policy, 32)
    chain, stochastic = drawn["chain"], drawn["stochastic"]
    assert (stochastic.sum(1) == 1).all()
    index = FlowDraws.of(draws(32), 32, 4, *SHAPE).index
    assert (stochastic.nonzero()[:, 1] == index).all()
    assert len(index.unique()) == 4, "each row draws its own step"
    prefix = policy.prefix(inputs)
    for k in range(4):
        with torch.no_grad():
            velocity, _ = policy.expert(prefix, chain[:, k], torch.full((32,), 1 - k / 4))
        off = (chain[:, k + 1] - (chain[:, k] - velocity / 4)).abs().amax(dim=(1, 2))
        assert (off[~stochastic[:, k]] < 1e-5).all()
        assert (off[stochastic[:, k]] > 1e-2).all()


def test_flow_noise_is_the_mean_likelihood_of_the_chain_with_a_bounded_deviation():
    policy = exploring("noise")
    with torch.no_grad():
        policy.exploration.net[-1].weight.mul_(100)
    inputs, played, drawn = explored(policy, 8)
    assert drawn["stochastic"].all()
    expected, prefix = torch.zeros(8, *SHAPE), policy.prefix(inputs)
    with torch.no_grad():
        for k in range(4):
            x, time = drawn["chain"][:, k], torch.full((8,), 1 - k / 4)
            velocity, hidden = policy.expert(prefix, x, time)
            mean, std = policy.exploration.transition(x, velocity, hidden, time[:, None, None], 0.25)
            assert std.min() >= 0.08 - 1e-6
            assert std.max() <= 0.16 + 1e-6
            assert std.max() - std.min() > 0.05
            expected += torch.distributions.Normal(mean, std).log_prob(drawn["chain"][:, k + 1]) / 4
    torch.testing.assert_close(torch.from_numpy(played.log_probs), expected, atol=1e-4, rtol=1e-5)


def test_a_change_of_weights_moves_the_ratio_of_a_chunk_alike_in_flow_sde_and_flow_noise():
    """With piRL's settings. Summed over its four steps, that of Flow-Noise would move four times as far."""
    moved = {}
    for kind in ("sde", "noise"):
        policy = exploring(kind)
        played = policy.act(*seen(256), temperature=1.0, draws=draws(256))
        with torch.no_grad():
            policy.expert.velocity.bias.add_(0.05)
            drawn = {name: torch.from_numpy(array) for name, array in played.drawn.items()}
            now = policy.log_prob(policy.inputs(*seen(256)), drawn, 1.0).log_probs
        moved[kind] = float((now - torch.from_numpy(played.log_probs)).sum(dim=(1, 2)).square().mean().sqrt())
    assert 0.05 < moved["sde"] < 0.5
    assert 0.6 < moved["noise"] / moved["sde"] < 1.6


def test_a_row_is_decided_by_its_own_draws_whoever_is_beside_it(policy):
    images, state, texts = seen(6)
    whole = policy.act(images, state, texts, 1.0, draws(6)).actions
    rows = np.array([4, 1])
    part = policy.act({"front": images["front"][rows]}, state[rows], [texts[i] for i in rows], 1.0, draws(6)[rows])
    np.testing.assert_allclose(part.actions, whole[rows], atol=1e-6)


def test_a_deployed_policy_never_uses_the_noise_net_nor_has_it(tmp_path):
    policy = exploring("noise").eval()
    greedy, wild = policy.act(*seen(4)).actions, explored(policy, 4)[1].actions
    start = {name: value.clone() for name, value in policy.exploration.state_dict().items()}
    with torch.no_grad():
        for parameter in policy.exploration.parameters():
            parameter.add_(3.0)
    assert np.abs(explored(policy, 4)[1].actions - wild).max() > 1e-4
    policy.exploration.net.register_forward_hook(lambda *_: pytest.fail("the noise net was used"))
    np.testing.assert_array_equal(policy.act(*seen(4)).actions, greedy)
    save_policy(tmp_path / "p", policy, {})
    assert not any("exploration" in name for name in load((tmp_path / "p" / WEIGHTS).read_bytes()))
    again = load_policy(tmp_path / "p")
    np.testing.assert_array_equal(again.act(*seen(4)).actions, greedy)
    for name, value in again.exploration.state_dict().items():
        assert torch.equal(value, start[name]), "a loaded policy explores as a fresh one does"


def test_exploration_changes_no_other_weight():
    sde, noise = exploring("sde").state_dict(), exploring("noise").state_dict()
    assert set(noise) - set(sde) == {name for name in noise if name.startswith("exploration.")}
    assert all(torch.equal(noise[name], value) for name, value in sde.items())


def test_weights_survive_as_safetensors(policy):
    policy.normalise_state_by(seen(50)[1] * 2 + 1)
    other = make(seed=9)
    assert np.abs(other.act(*seen(4)).actions - policy.act(*seen(4)).actions).max() > 1e-4
    other.load_state_dict(load(save({name: value.contiguous() for name, value in policy.state_dict().items()})))
    np.testing.assert_array_equal(other.act(*seen(4)).actions, policy.act(*seen(4)).actions)


def test_a_description_in_json_rebuilds_the_policy(policy):
    plain = json.loads(json.dumps(to_blueprint(policy)))
    assert plain["model"]["kind"] == "flow_vla"
    again = from_blueprint(plain)
    assert isinstance(again, FlowVla)
    assert again.config == policy.config
    again.load_state_dict(policy.state_dict())
    np.testing.assert_array_equal(again.act(*seen(2)).actions, policy.act(*seen(2)).actions)
    del plain["model"]["prefix"]["heads"]
    with pytest.raises(BlueprintError, match="heads"):
        from_blueprint(plain)


@pytest.mark.parametrize("change", [{"steps": 0}, {"expert_width": 15}])
def test_sizes_that_make_no_network(change):
    with pytest.raises(ValueError, match=r"steps must be at least 1|expert_width must be even"):
        make(config=dataclasses.replace(TINY, **change))


@pytest.mark.parametrize("noise_level", [0.0, -0.1, float("nan")])
def test_exploration_needs_noise(noise_level):
    with pytest.raises(ValueError, match="noise_level"):
        FlowSde(noise_level)


def test_bounds_of_the_learned_noise_must_make_sense():
    with pytest.raises(ValueError, match="0 < low < high"):
        FlowNoise(16, 4, low=0.2, high=0.1)


def test_draws_must_fit(policy):
    with pytest.raises(ValueError, match="draws"):
        policy.act(*seen(2), temperature=1.0, draws=draws(2, steps=5))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda i, s, t: ({}, s, t), "cameras"),
        (lambda i, s, t: ({"front": i["front"].astype(np.float32)}, s, t), "uint8"),
        (lambda i, s, t: (i, np.full_like(s, np.nan), t), "finite"),
    ],
)
def test_observations_that_do_not_fit_are_refused(policy, change, says):
    with pytest.raises(ValueError, match=says):
        policy.inputs(*change(*seen(2)))
