"""LeRobot's policies as ours: what they do with observations, what they learn from, and where they come from."""

import dataclasses
import json
import math

import numpy as np
import pytest
import torch
from made_lerobot import FEATURES, MINIATURES, SPEC, STATISTICS, config_json, observed, write_json, write_policy
from policy_api.schema import Committed
from safetensors.torch import load_file, save_file
from toy_env import PHRASES

from sim_train.checkpoint import load_policy, save_policy
from sim_train.policies.choice import PolicyChoice, make_policy
from sim_train.policies.flow_exploration import ExplorationConfig
from sim_train.policies.imitation import SftLossConfig
from sim_train.policies.lerobot.checkpoint import load_lerobot, save_lerobot
from sim_train.policies.lerobot.layout import LeRobotError
from sim_train.policies.lerobot.tokens import pixels
from sim_train.policies.text import build_vocabulary
from sim_train.scale.config import LoraConfig
from sim_train.scale.lora import add_adapters
from sim_train.scale.trainee import checkpoint_activations
from sim_train.typed import ConfigError

KINDS = pytest.mark.parametrize("kind", ["pi0", "smolvla"])
H, A = SPEC.horizon, len(SPEC.action)


def load(directory, kind, **changed):
    return load_lerobot(directory, SPEC, **{"cameras": FEATURES, "towers": MINIATURES[kind], **changed})


@pytest.fixture
def loaded(tmp_path):
    """A policy of a kind, from LeRobot's layout."""
    return lambda kind, **changed: load(write_policy(tmp_path / kind, kind), kind, **changed)


def draws(policy, batch, seed=0):
    return np.random.default_rng(seed).random((batch, policy.draw_size), dtype=np.float32)


@KINDS
@torch.no_grad()
def test_acts_as_lerobot_would(kind, loaded):
    """Normalise, pad, show the cameras in the file's order, follow the flow from 1 to 0, cut, unnormalise."""
    policy, config = loaded(kind), MINIATURES[kind]
    images, state, texts = observed(3)
    normal = (torch.from_numpy(state) - STATISTICS["observation.state.mean"]) / STATISTICS["observation.state.std"]
    tokenizer = policy.tokenizer.tokenizer
    text = torch.full((3, 12), -1)
    for row, words in enumerate(texts):
        ids = tokenizer.encode(words + "\n").ids
        ids = [2, *ids] if kind == "pi0" else ids
        text[row, : len(ids)] = torch.tensor(ids)
    prefix = policy.network.encode(
        [torch.from_numpy(images[name]) for name in ("wrist", "front")], text, torch.cat([normal, torch.zeros(3, 3)], 1)
    )
    x = torch.randn(config.chunk, config.max_action_dim, generator=torch.Generator().manual_seed(0)).expand(3, -1, -1)
    for k in range(config.steps):
        velocity, _ = policy.network.velocity(prefix, x, torch.full((3,), 1 - k / config.steps))
        x = x - velocity / config.steps
    expected = x[:, :H, :A] * STATISTICS["action.std"] + STATISTICS["action.mean"]
    for i, field in enumerate(SPEC.action):
        expected[..., i] = expected[..., i].clamp(field.lower, field.upper)
    out = policy.act(images, state, texts)
    np.testing.assert_allclose(out.actions, expected.numpy(), atol=1e-6)
    assert out.actions.std() > 1e-3
    assert out.log_probs.shape == (3, H, A)


def test_images_are_scaled_and_resized_to_the_networks_size():
    image = torch.zeros(1, 4, 4, 3, dtype=torch.uint8)
    image[:, :, 2:] = 255
    small = pixels(image, 2)
    torch.testing.assert_close(small[0, 0], torch.tensor([[-1.0, 1.0], [-1.0, 1.0]]))
    torch.testing.assert_close(pixels(image, 4)[0, 0, 0], torch.tensor([-1.0, -1.0, 1.0, 1.0]))


@KINDS
@pytest.mark.parametrize("exploration", ["sde", "noise"])
def test_the_likelihood_is_that_of_the_played_numbers(kind, exploration, loaded):
    policy = loaded(kind, exploration=ExplorationConfig(exploration))
    images, state, texts = observed(3)
    out = policy.act(images, state, texts, 1.0, draws(policy, 3))
    drawn = {name: torch.from_numpy(array) for name, array in out.drawn.items()}
    assert drawn["chain"].shape == (3, 4, 6, 9)
    again = policy.log_prob(policy.inputs(images, state, texts), drawn, 1.0)
    np.testing.assert_allclose(again.log_probs.detach(), out.log_probs, atol=2e-4)
    assert again.log_probs.shape == again.entropy.shape == (3, H, A)
    if exploration == "sde":  # a Gaussian's entropy gives its width away
        std = (again.entropy - 0.5 * math.log(2 * math.pi * math.e)).exp()
        at = drawn["stochastic"].float().argmax(1)
        t = 1 - at / 3
        sigma = 0.5 * (t / (1 - torch.where(t > 0.9, t - 1 / 3, t))).sqrt()
        torch.testing.assert_close(std[:, 0, 0], sigma / math.sqrt(3), atol=1e-5, rtol=1e-5)
    again.log_probs.sum().backward()
    assert policy.network.actions.leave.weight.grad.abs().max() > 0
    np.testing.assert_array_equal(out.actions, policy.act(images, state, texts, 1.0, draws(policy, 3)).actions)
    other = policy.act(images, state, texts, 1.0, draws(policy, 3, seed=1))
    assert not np.array_equal(out.actions, other.actions)


@KINDS
def test_imitation_is_flow_matching_on_the_contracts_part(kind, loaded):
    policy, config = loaded(kind), MINIATURES[kind]
    images, state, texts = observed(2)
    inputs = policy.inputs(images, state, texts)
    low, high = (np.array([getattr(f, end) for f in SPEC.action], np.float32) for end in ("lower", "upper"))
    actions = torch.from_numpy(np.random.default_rng(0).uniform(low, high, (2, H, A)).astype(np.float32))
    weights = torch.rand(2, H, A)
    uniform = torch.rand(2, policy.imitation_draw_size)
    loss, report = policy.imitation_loss(inputs, actions, weights, torch.zeros(2, 3), SftLossConfig(), uniform)
    assert policy.imitation_draw_size == 1 + config.chunk * config.max_action_dim
    assert report.target_error_mm is None

    aim = torch.zeros(2, config.chunk, config.max_action_dim)
    normal = (actions - STATISTICS["action.mean"]) / STATISTICS["action.std"]
    aim[:, :H, :A] = normal
    aim[:, H:, :A] = normal[:, -1:]
    noise = torch.special.ndtri(uniform[:, 1:].double().clamp(1e-6, 1 - 1e-6)).float().view(aim.shape)
    time = uniform[:, 0] ** (2 / 3) * 0.999 + 0.001
    mixed = (1 - time)[:, None, None] * aim + time[:, None, None] * noise
    with torch.no_grad():
        velocity, _ = policy.network.velocity(policy.prefix_of(inputs), mixed, time)
    expected = ((velocity - (noise - aim))[:, :H, :A].square() * weights).sum()
    torch.testing.assert_close(loss, expected)
    loss.backward()
    assert policy.network.state.weight.grad.abs().max() > 0


@KINDS
def test_goes_back_to_lerobot_and_through_our_checkpoints(kind, loaded, tmp_path):
    policy = loaded(kind)
    expected = policy.act(*observed(3)).actions
    save_lerobot(policy, tmp_path / "back")
    plain = json.loads((tmp_path / "back" / "config.json").read_text())
    assert list(plain["input_features"]) == [*FEATURES, "observation.state"]
    again = load(tmp_path / "back", kind)
    np.testing.assert_array_equal(again.act(*observed(3)).actions, expected)
    save_policy(tmp_path / "ours", policy, {})
    ours = load_policy(tmp_path / "ours")
    assert type(ours) is type(policy)
    assert ours.config == policy.config
    np.testing.assert_array_equal(ours.act(*observed(3)).actions, expected)
    before, after = (load_file(tmp_path / name / "model.safetensors") for name in (kind, "back"))
    assert before.keys() == after.keys()
    for name in before.keys() - {n for n in before if "lm_head" in n}:
        assert torch.equal(before[name], after[name]), name


def test_statistics_of_the_weights_stay(loaded):
    policy = loaded("pi0")
    before = policy.scalings["observation.state"].shift.clone()
    policy.normalise_state_by(np.random.default_rng(0).normal(size=(50, 7)).astype(np.float32))
    assert torch.equal(policy.scalings["observation.state"].shift, before)


def test_a_base_model_is_a_start_for_another_robot(tmp_path):
    directory = write_policy(tmp_path / "p", "smolvla")
    for path in directory.glob("policy_*"):
        path.unlink()
    plain = config_json("smolvla")
    plain["input_features"]["observation.state"]["shape"] = plain["output_features"]["action"]["shape"] = [6]
    write_json(directory / "config.json", plain)
    with pytest.raises(LeRobotError, match="robot=contract"):
        load(directory, "smolvla")
    policy = load(directory, "smolvla", robot="contract", steps=2)
    assert policy.config == dataclasses.replace(
        MINIATURES["smolvla"], chunk=H, steps=2, cameras=tuple(FEATURES.items())
    )
    torch.testing.assert_close(
        policy.normalise(torch.tensor([[[f.upper for f in SPEC.action]]] * H).transpose(0, 1))[..., :A],
        torch.ones(1, H, A),
    )
    states = np.random.default_rng(0).normal(0.5, 2.0, (200, 7)).astype(np.float32)
    policy.normalise_state_by(states)
    torch.testing.assert_close(policy.scalings["observation.state"].scale, torch.from_numpy(states.std(0, ddof=1)))
    policy.normalise_state_by(states * 3)
    torch.testing.assert_close(policy.scalings["observation.state"].scale, torch.from_numpy(states.std(0, ddof=1)))


def test_refuses_what_does_not_fit_the_contract(tmp_path):
    directory = write_policy(tmp_path / "p", "pi0")
    longer = dataclasses.replace(SPEC, horizon=7)
    with pytest.raises(LeRobotError, match="a horizon of 7; the network has room for 6"):
        load_lerobot(directory, longer, cameras=FEATURES, towers=MINIATURES["pi0"])
    with pytest.raises(LeRobotError, match=r"no image feature 'observation\.images\.front'"):
        load(directory, "pi0", cameras=None)
    with pytest.raises(LeRobotError, match=r"tokenizer\.json does not exist"):
        load(directory, "pi0", tokenizer=tmp_path)
    for file in directory.glob("policy_*.safetensors"):
        statistics = load_file(file)
        statistics["observation.state.mean"] = torch.full((7,), 57.0)  # degrees
        save_file(statistics, file)
    with pytest.raises(LeRobotError, match=r"'joint1' is about 57 .* other units"):
        load(directory, "pi0")
    with pytest.raises(LeRobotError, match=r"has no config\.json"):
        (directory / "config.json").unlink()
        load(directory, "pi0")


@KINDS
def test_is_chosen_by_settings(kind, tmp_path):
    words = build_vocabulary(PHRASES)
    fresh = make_policy(PolicyChoice(kind, {"network": "miniature"}), SPEC, words)
    assert fresh.act(*observed(2)).actions.shape == (2, H, A)
    assert fresh.inputs(*observed(2)).text.unique(dim=0).shape[0] == 2
    sizes = {
        "network": "miniature",
        "weights": str(write_policy(tmp_path / "p", kind)),
        "cameras": FEATURES,
        "steps": 4,
    }
    assert make_policy(PolicyChoice(kind, sizes), SPEC, words).steps == 4
    with pytest.raises(ConfigError, match="is not a directory"):
        make_policy(PolicyChoice(kind, {**sizes, "weights": str(tmp_path / "q")}), SPEC, words)


@KINDS
def test_gradients_are_the_same_when_activations_are_computed_again(kind, loaded):
    policy = loaded(kind).train()
    images, state, texts = observed(2)
    inputs, actions = policy.inputs(images, state, texts), torch.zeros(2, H, A)
    uniform = torch.rand(2, policy.imitation_draw_size)

    def gradient():
        policy.zero_grad()
        policy.imitation_loss(inputs, actions, torch.ones(2, H, A), torch.zeros(2, 3), SftLossConfig(), uniform)[
            0
        ].backward()
        return torch.cat([p.grad.flatten() for p in policy.parameters() if p.grad is not None])

    kept = gradient()
    checkpoint_activations(policy)
    assert policy.network.expert.layers[0].gradient_checkpointing
    torch.testing.assert_close(gradient(), kept)


@KINDS
def test_takes_adapters_and_bfloat16(kind, loaded):
    policy = loaded(kind)
    inputs, uniform = policy.inputs(*observed(2)), torch.rand(2, policy.imitation_draw_size)

    def loss():
        whole = torch.ones(2, H, A)
        return policy.imitation_loss(inputs, whole * 0, whole, torch.zeros(2, 3), SftLossConfig(), uniform)[0]

    before = loss()
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(loss(), before, rtol=0.05, atol=0.0)
    add_adapters(policy, LoraConfig(rank=2, whole=["state", "actions"]))
    torch.testing.assert_close(loss(), before)
    loss().backward()
    trained = {name.split(".")[1] for name, p in policy.named_parameters() if p.grad is not None and "lora" not in name}
    assert trained == {"state", "actions"}
    adapted = {n.split(".")[1] for n, p in policy.named_parameters() if ".lora_B" in n and p.grad is not None}
    assert adapted == {"vision", "language", "expert"}


@KINDS
def test_a_committed_prefix_pulls_the_chunk_and_no_other_row(kind, loaded):
    policy = loaded(kind)
    observation = observed(2)
    plain = policy.act(*observation).actions
    lower, upper = (np.array([getattr(field, end) for field in SPEC.action], np.float32) for end in ("lower", "upper"))
    aim = np.repeat(((lower + upper) / 2)[None], H, axis=0)
    held = policy.act(*observation, committed=[Committed(aim, H - 1), None]).actions
    np.testing.assert_array_equal(held[1], plain[1])
    assert np.abs(held[0] - aim)[: H - 1].mean() < 0.7 * np.abs(plain[0] - aim)[: H - 1].mean()
