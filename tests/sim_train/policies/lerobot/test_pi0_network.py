"""pi0's network against a forward of both models side by side, written out layer by layer from transformers' parts."""

import pytest
import torch
from made_lerobot import TOP, part, pi0_keys, random_tensors, seen
from safetensors.torch import save_file
from torch.nn.functional import linear, silu
from transformers import GemmaConfig, GemmaModel, PaliGemmaConfig, PaliGemmaModel
from transformers.models.gemma.modeling_gemma import apply_rotary_pos_emb, eager_attention_forward

from sim_train.policies.lerobot.config import Pi0Config
from sim_train.policies.lerobot.names import PI0, shapes
from sim_train.policies.lerobot.pi0_network import Pi0Network
from sim_train.policies.lerobot.weights import load_weights

CONFIG = Pi0Config.miniature()


def gemma_config(width, mlp):
    of = CONFIG.language
    return GemmaConfig(
        vocab_size=of.vocab,
        hidden_size=width,
        intermediate_size=mlp,
        num_hidden_layers=of.layers,
        num_attention_heads=of.heads,
        num_key_value_heads=of.kv_heads,
        head_dim=of.head_width,
        attn_implementation="eager",
    )


def reference_models(tensors):
    vision = {
        "model_type": "siglip_vision_model",
        "hidden_size": 24,
        "intermediate_size": 40,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": 28,
        "patch_size": 14,
        "projection_dim": 32,
        "vision_use_head": False,
    }
    text = gemma_config(CONFIG.language.width, CONFIG.language.mlp).to_dict()
    paligemma = PaliGemmaModel(PaliGemmaConfig(vision_config=vision, text_config=text, projection_dim=32)).eval()
    weights = part(tensors, f"{TOP}paligemma.model.")
    weights["language_model.embed_tokens.weight"] = tensors[f"{TOP}paligemma.lm_head.weight"]
    paligemma.load_state_dict({name.replace(".vision_model.", "."): tensor for name, tensor in weights.items()})
    expert = GemmaModel(gemma_config(CONFIG.expert_width, CONFIG.expert_mlp)).eval()
    of_expert = part(tensors, f"{TOP}gemma_expert.model.")
    of_expert["embed_tokens.weight"] = tensors[f"{TOP}gemma_expert.lm_head.weight"]
    expert.load_state_dict(of_expert)
    return paligemma, expert


def waves(time):
    """The time embedding, number by number."""
    half = CONFIG.expert_width // 2
    periods = [0.004 * 1000 ** (i / (half - 1)) for i in range(half)]
    angles = torch.tensor([[2 * torch.pi * t / period for period in periods] for t in time.tolist()])
    return torch.cat([angles.sin(), angles.cos()], dim=1)


@torch.no_grad()
def reference(tensors, images, text, state, noised, time):
    """Velocity by one pass of all tokens through both models, as in training."""
    paligemma, expert = reference_models(tensors)
    language = paligemma.language_model

    def project(name, x):
        return linear(x, tensors[f"model.{name}.weight"], tensors[f"model.{name}.bias"])

    parts = []
    for image in images:
        chw = torch.nn.functional.interpolate(image.permute(0, 3, 1, 2) / 255.0, (28, 28), mode="bilinear")
        parts.append(paligemma.get_image_features(chw * 2 - 1).pooler_output)
    pictures = sum(p.shape[1] for p in parts)
    parts.append(language.embed_tokens.weight[text.clamp_min(0)] * CONFIG.language.width**0.5)
    prefix = torch.cat(parts, dim=1)
    waved = waves(time)[:, None].expand(-1, CONFIG.chunk, -1)
    mixed = torch.cat([project("action_in_proj", noised), waved], dim=-1)
    mixed = project("action_time_mlp_out", silu(project("action_time_mlp_in", mixed)))
    suffix = torch.cat([project("state_proj", state)[:, None], mixed], dim=1)

    batch = len(text)
    there = torch.cat(
        [torch.ones(batch, pictures, dtype=bool), text >= 0, torch.ones(batch, 1 + CONFIG.chunk, dtype=bool)], 1
    )
    block = torch.tensor([0] * prefix.shape[1] + [1] + [2] * CONFIG.chunk)
    allowed = (block[None, :] <= block[:, None])[None] & there[:, None, :] & there[:, :, None]
    mask = torch.where(allowed, 0.0, -2.3819763e38)[:, None]
    cos, sin = language.rotary_emb(prefix, there.cumsum(1) - 1)
    streams, at = [prefix, suffix], [slice(0, prefix.shape[1]), slice(prefix.shape[1], None)]
    for layers in zip(language.layers, expert.layers, strict=True):
        normed = [layer.input_layernorm(x) for layer, x in zip(layers, streams, strict=True)]
        q, k, v = (
            torch.cat(
                [
                    getattr(layer.self_attn, name)(x).view(batch, x.shape[1], -1, CONFIG.language.head_width)
                    for layer, x in zip(layers, normed, strict=True)
                ],
                dim=1,
            ).transpose(1, 2)
            for name in ("q_proj", "k_proj", "v_proj")
        )
        q, k = apply_rotary_pos_emb(q, k, cos, sin)
        out, _ = eager_attention_forward(layers[0].self_attn, q, k, v, mask, CONFIG.language.head_width**-0.5)
        out = out.reshape(batch, out.shape[1], -1)
        for i, layer in enumerate(layers):
            streams[i] = streams[i] + layer.self_attn.o_proj(out[:, at[i]])
            streams[i] = streams[i] + layer.mlp(layer.post_attention_layernorm(streams[i]))
    return project("action_out_proj", expert.norm(streams[1])[:, 1:])


@pytest.fixture(scope="module")
def tensors():
    return random_tensors(CONFIG)


@pytest.fixture
def network(tensors, tmp_path):
    save_file(tensors, tmp_path / "model.safetensors")
    network = Pi0Network(CONFIG).eval()
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
def test_padding_changes_nothing(network):
    images, text, state = seen(1)
    noised, time = torch.randn(1, CONFIG.chunk, CONFIG.max_action_dim), torch.tensor([0.5])
    long, _ = network.velocity(network.encode(images, text, state), noised, time)
    short, _ = network.velocity(network.encode(images, text[:, :7], state), noised, time)
    torch.testing.assert_close(long, short, atol=1e-5, rtol=1e-5)


def test_the_full_size_has_the_names_and_shapes_of_the_published_weights():
    full = Pi0Config.pi0()
    with torch.device("meta"):
        ours = {PI0.stored(name): shape for name, shape in shapes(Pi0Network(full)).items()}
    expected = pi0_keys(full)
    assert len(expected) == 777
    assert ours | PI0.unused_shapes(full) == expected
    assert expected[f"{TOP}gemma_expert.model.layers.17.self_attn.k_proj.weight"] == (256, 1024)
