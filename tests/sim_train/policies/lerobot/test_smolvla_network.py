"""SmolVLA's network against a forward of both models side by side, written out layer by layer."""

import math

import pytest
import torch
from made_lerobot import part, random_tensors, seen, smolvla_keys
from safetensors.torch import save_file
from torch import nn
from torch.nn.functional import linear, silu
from transformers import LlamaConfig, LlamaModel, SmolVLMConfig, SmolVLMModel

from sim_train.policies.lerobot.config import SmolVlaConfig
from sim_train.policies.lerobot.names import SMOLVLA, shapes
from sim_train.policies.lerobot.smolvla_network import SmolVlaNetwork
from sim_train.policies.lerobot.weights import load_weights

CONFIG = SmolVlaConfig.miniature()
HEADS, KEPT, WIDTH = CONFIG.language.heads, CONFIG.language.kv_heads, CONFIG.language.head_width
TOP = "model.vlm_with_expert."


def llama_config(width, mlp):
    return LlamaConfig(
        vocab_size=CONFIG.language.vocab,
        hidden_size=width,
        intermediate_size=mlp,
        num_hidden_layers=CONFIG.language.layers,
        num_attention_heads=HEADS,
        num_key_value_heads=KEPT,
        head_dim=WIDTH,
        rms_norm_eps=1e-5,
        pad_token_id=None,
        attn_implementation="eager",
    )


def reference_models(tensors):
    vision = {
        "model_type": "smolvlm_vision",
        "hidden_size": 24,
        "intermediate_size": 40,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": 32,
        "patch_size": 8,
    }
    text = llama_config(CONFIG.language.width, CONFIG.language.mlp)
    vlm = SmolVLMModel(SmolVLMConfig(vision_config=vision, text_config=text, scale_factor=2)).eval()
    vlm.load_state_dict(part(tensors, f"{TOP}vlm.model."))
    expert = LlamaModel(llama_config(CONFIG.expert_width, CONFIG.expert_mlp)).eval()
    for layer in list(expert.layers)[1::2]:
        layer.self_attn.k_proj = nn.Linear(KEPT * WIDTH, KEPT * WIDTH, bias=False)
        layer.self_attn.v_proj = nn.Linear(KEPT * WIDTH, KEPT * WIDTH, bias=False)
    missing = expert.load_state_dict(part(tensors, f"{TOP}lm_expert."), strict=False)
    assert missing == (["embed_tokens.weight"], [])
    return vlm, expert


def turned(x, positions):
    """Rotary embedding of (B, N, heads, WIDTH) by its definition, with base 10,000."""
    half = WIDTH // 2
    angle = positions[..., None] / 10_000 ** (torch.arange(half) * 2 / WIDTH)
    cos, sin = angle.cos()[:, :, None], angle.sin()[:, :, None]
    first, second = x[..., :half], x[..., half:]
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)


def attend(q, k, v, allowed):
    """Softmax attention of q (B, N, HEADS, WIDTH) over k, v (B, M, KEPT, WIDTH)."""
    k, v = (x.repeat_interleave(HEADS // KEPT, dim=2) for x in (k, v))
    scores = torch.einsum("bnhw,bmhw->bhnm", q, k) / math.sqrt(WIDTH)
    shares = scores.masked_fill(~allowed[:, None], torch.finfo(scores.dtype).min).softmax(-1)
    return torch.einsum("bhnm,bmhw->bnhw", shares, v).flatten(2)


@torch.no_grad()
def reference(tensors, images, text, state, noised, time):
    """Velocity by one pass of all tokens through both models, as in training."""
    vlm, expert = reference_models(tensors)
    language = vlm.text_model

    def project(name, x):
        return linear(x, tensors[f"model.{name}.weight"], tensors[f"model.{name}.bias"])

    def split(layer, name, x):
        return getattr(layer.self_attn, name)(x).unflatten(-1, (-1, WIDTH))

    def finish(layer, x, attended):
        x = x + layer.self_attn.o_proj(attended)
        return x + layer.mlp(layer.post_attention_layernorm(x))

    parts = []
    for image in images:
        chw = torch.nn.functional.interpolate(image.permute(0, 3, 1, 2) / 255.0, (32, 32), mode="bilinear")
        parts.append(vlm.connector(vlm.vision_model(chw * 2 - 1).last_hidden_state) * math.sqrt(CONFIG.language.width))
    pictures = sum(p.shape[1] for p in parts)
    parts.append(language.embed_tokens(text.clamp_min(0)) * math.sqrt(CONFIG.language.width))
    prefix = torch.cat([*parts, project("state_proj", state)[:, None]], dim=1)
    half = CONFIG.expert_width // 2
    angles = torch.tensor(
        [[2 * math.pi * t / (0.004 * 1000 ** (i / (half - 1))) for i in range(half)] for t in time.tolist()]
    )
    waved = torch.cat([angles.sin(), angles.cos()], dim=1)[:, None].expand(-1, CONFIG.chunk, -1)
    mixed = torch.cat([project("action_in_proj", noised), waved], dim=-1)
    suffix = project("action_time_mlp_out", silu(project("action_time_mlp_in", mixed)))

    batch, n = len(text), prefix.shape[1]
    there = torch.cat(
        [torch.ones(batch, pictures, dtype=bool), text >= 0, torch.ones(batch, 1 + CONFIG.chunk, dtype=bool)], 1
    )
    steps = torch.tensor([0] * (n - 1) + [1] + [1] * CONFIG.chunk).cumsum(0)
    allowed = (steps[None, :] <= steps[:, None])[None] & there[:, None, :] & there[:, :, None]
    positions = there.cumsum(1) - 1
    for i, (below, above) in enumerate(zip(language.layers, expert.layers, strict=True)):
        low, high = below.input_layernorm(prefix), above.input_layernorm(suffix)
        q, k = (turned(split(below, name, low), positions[:, :n]) for name in ("q_proj", "k_proj"))
        v = split(below, "v_proj", low)
        out = attend(q, k, v, allowed[:, :n, :n])
        asked = split(above, "q_proj", high)
        if i % 2 == 0:
            own = turned(split(above, "k_proj", high), positions[:, n:])
            keys, values = torch.cat([k, own], dim=1), torch.cat([v, split(above, "v_proj", high)], dim=1)
            attended = attend(turned(asked, positions[:, n:]), keys, values, allowed[:, n:])
        else:
            keys, values = split(above, "k_proj", k.flatten(2)), split(above, "v_proj", v.flatten(2))
            start = positions[:, n:] - positions[:, n:].amin(1, keepdim=True)
            attended = attend(turned(asked, start), keys, values, allowed[:, n:, :n])
        prefix, suffix = finish(below, prefix, out), finish(above, suffix, attended)
    return project("action_out_proj", expert.norm(suffix))


@pytest.fixture(scope="module")
def tensors():
    return random_tensors(CONFIG)


@pytest.fixture
def network(tensors, tmp_path):
    save_file(tensors, tmp_path / "model.safetensors")
    network = SmolVlaNetwork(CONFIG).eval()
    load_weights(network, CONFIG, tmp_path / "model.safetensors")
    return network


@torch.no_grad()
def test_velocity_is_the_references(network, tensors):
    images, text, state = seen(3)
    noised, time = torch.randn(3, CONFIG.chunk, CONFIG.max_action_dim), torch.tensor([1.0, 0.37, 0.05])
    velocity, hidden = network.velocity(network.encode(images, text, state), noised, time)
    expected = reference(tensors, images, text, state, noised, time)
    assert expected.std() > 0.1
    torch.testing.assert_close(velocity, expected, atol=1e-4, rtol=1e-4)
    assert hidden.shape == (3, CONFIG.chunk, CONFIG.expert_width)


@torch.no_grad()
def test_an_action_does_not_depend_on_later_ones(network):
    images, text, state = seen(2)
    prefix, time = network.encode(images, text, state), torch.tensor([0.5, 0.9])
    noised = torch.randn(2, CONFIG.chunk, CONFIG.max_action_dim)
    changed = noised.clone()
    changed[:, 4:] += 1.0
    before, after = (network.velocity(prefix, x, time)[0] for x in (noised, changed))
    torch.testing.assert_close(before[:, :4], after[:, :4], atol=1e-6, rtol=1e-6)
    assert (before[:, 4:] - after[:, 4:]).abs().min() > 1e-6


def test_the_full_size_has_the_names_and_shapes_of_the_published_weights():
    full = SmolVlaConfig.smolvla()
    with torch.device("meta"):
        ours = {SMOLVLA.stored(name): shape for name, shape in shapes(SmolVlaNetwork(full)).items()}
    expected = smolvla_keys(full)
    assert ours | SMOLVLA.unused_shapes(full) == expected
    assert expected[f"{TOP}vlm.model.connector.modality_projection.proj.weight"] == (960, 12288)
    assert expected[f"{TOP}lm_expert.layers.1.self_attn.k_proj.weight"] == (320, 320)
