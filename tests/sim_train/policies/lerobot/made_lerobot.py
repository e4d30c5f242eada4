"""LeRobot's layout, written down from its modules as a function of sizes, and random policies in it."""

import dataclasses
import json

import numpy as np
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from toy_env import PHRASES, TOY_SPEC

from sim_train.policies.lerobot.config import Pi0Config, SmolVlaConfig

SPEC = dataclasses.replace(
    TOY_SPEC,
    model="pi0",
    cameras=tuple(dataclasses.replace(TOY_SPEC.cameras[0], name=name, input_size=40) for name in ("front", "wrist")),
    horizon=4,
)
MINIATURES = {"pi0": Pi0Config.miniature(), "smolvla": SmolVlaConfig.miniature()}
FEATURES = {"observation.images.wrist": "wrist", "observation.images.top": "front"}
TOP = "model.paligemma_with_expert."
LOW, HIGH = (torch.tensor([getattr(field, end) for field in SPEC.action]) for end in ("lower", "upper"))
STATISTICS = {
    "observation.state.mean": torch.linspace(-0.1, 0.05, 7).clamp(
        *(torch.tensor([getattr(f, end) for f in SPEC.state]) for end in ("lower", "upper"))
    ),
    "observation.state.std": torch.tensor([0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.02]),
    "action.mean": (LOW + HIGH) / 2,
    "action.std": (HIGH - LOW) / 4,
}


def siglip_keys(prefix, sizes):
    width, mlp = sizes.width, sizes.mlp
    keys = {
        "embeddings.patch_embedding.weight": (width, 3, sizes.patch, sizes.patch),
        "embeddings.patch_embedding.bias": (width,),
        "embeddings.position_embedding.weight": (sizes.patches, width),
        "post_layernorm.weight": (width,),
        "post_layernorm.bias": (width,),
    }
    for i in range(sizes.layers):
        for norm in ("layer_norm1", "layer_norm2"):
            keys |= {f"encoder.layers.{i}.{norm}.weight": (width,), f"encoder.layers.{i}.{norm}.bias": (width,)}
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            keys[f"encoder.layers.{i}.self_attn.{part}.weight"] = (width, width)
            keys[f"encoder.layers.{i}.self_attn.{part}.bias"] = (width,)
        keys |= {f"encoder.layers.{i}.mlp.fc1.weight": (mlp, width), f"encoder.layers.{i}.mlp.fc1.bias": (mlp,)}
        keys |= {f"encoder.layers.{i}.mlp.fc2.weight": (width, mlp), f"encoder.layers.{i}.mlp.fc2.bias": (width,)}
    return {prefix + name: shape for name, shape in keys.items()}


def decoder_keys(prefix, sizes, width, mlp, crosses=()):
    read, kept = sizes.heads * sizes.head_width, sizes.kv_heads * sizes.head_width
    keys = {"norm.weight": (width,)}
    for i in range(sizes.layers):
        of = kept if i in crosses else width
        keys |= {
            f"layers.{i}.self_attn.q_proj.weight": (read, width),
            f"layers.{i}.self_attn.k_proj.weight": (kept, of),
            f"layers.{i}.self_attn.v_proj.weight": (kept, of),
            f"layers.{i}.self_attn.o_proj.weight": (width, read),
            f"layers.{i}.mlp.gate_proj.weight": (mlp, width),
            f"layers.{i}.mlp.up_proj.weight": (mlp, width),
            f"layers.{i}.mlp.down_proj.weight": (width, mlp),
            f"layers.{i}.input_layernorm.weight": (width,),
            f"layers.{i}.post_attention_layernorm.weight": (width,),
        }
    return {prefix + name: shape for name, shape in keys.items()}


def head_keys(config, state_width):
    width = config.expert_width
    keys = {
        "action_in_proj": (width, config.max_action_dim),
        "action_out_proj": (config.max_action_dim, width),
        "action_time_mlp_in": (width, 2 * width),
        "action_time_mlp_out": (width, width),
        "state_proj": (state_width, config.max_state_dim),
    }
    weights = {f"model.{name}.weight": shape for name, shape in keys.items()}
    return weights | {f"model.{name}.bias": shape[:1] for name, shape in keys.items()}


def pi0_keys(config):
    """Names and shapes in a published pi0: the embedding under its output layer's name."""
    language = config.language
    return {
        **siglip_keys(f"{TOP}paligemma.model.vision_tower.vision_model.", config.vision),
        f"{TOP}paligemma.model.multi_modal_projector.linear.weight": (language.width, config.vision.width),
        f"{TOP}paligemma.model.multi_modal_projector.linear.bias": (language.width,),
        f"{TOP}paligemma.lm_head.weight": (language.vocab, language.width),
        **decoder_keys(f"{TOP}paligemma.model.language_model.", language, language.width, language.mlp),
        f"{TOP}gemma_expert.lm_head.weight": (language.vocab, config.expert_width),
        **decoder_keys(f"{TOP}gemma_expert.model.", language, config.expert_width, config.expert_mlp),
        **head_keys(config, config.expert_width),
    }


def smolvla_keys(config):
    """Names and shapes in a published SmolVLA."""
    language, top = config.language, "model.vlm_with_expert."
    crosses = [i for i in range(language.layers) if i % config.self_attention_every]
    shuffled = config.vision.width * config.scale_factor**2
    return {
        **siglip_keys(f"{top}vlm.model.vision_model.", config.vision),
        f"{top}vlm.model.connector.modality_projection.proj.weight": (language.width, shuffled),
        f"{top}vlm.model.text_model.embed_tokens.weight": (language.vocab, language.width),
        **decoder_keys(f"{top}vlm.model.text_model.", language, language.width, language.mlp),
        f"{top}vlm.lm_head.weight": (language.vocab, language.width),
        **decoder_keys(f"{top}lm_expert.", language, config.expert_width, config.expert_mlp, crosses),
        **head_keys(config, language.width),
    }


def keys_of(config):
    return pi0_keys(config) if isinstance(config, Pi0Config) else smolvla_keys(config)


def random_tensors(config, seed=0):
    """Every weight far from any special value."""
    generator = torch.Generator().manual_seed(seed)
    around_one = isinstance(config, SmolVlaConfig)  # Gemma's norms have 1 + weight
    return {
        name: torch.randn(shape, generator=generator) * 0.2
        + (1.0 if "layer_norm" in name or "post_layernorm" in name or (around_one and "norm" in name) else 0.0)
        for name, shape in keys_of(config).items()
    }


def part(tensors, prefix):
    """The tensors whose names start so, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def config_json(kind):
    """What LeRobot writes, with the fields that do not matter here, too."""
    config = MINIATURES[kind]
    plain = {
        "type": kind,
        "n_obs_steps": 1,
        "input_features": {
            "observation.images.wrist": {"type": "VISUAL", "shape": [3, 480, 640]},
            "observation.images.unused": {"type": "VISUAL", "shape": [3, 480, 640]},
            "observation.images.top": {"type": "VISUAL", "shape": [3, 480, 640]},
            "observation.state": {"type": "STATE", "shape": [7]},
        },
        "output_features": {"action": {"type": "ACTION", "shape": [4]}},
        "device": "cuda",
        "use_amp": False,
        "push_to_hub": True,
        "repo_id": None,
        "normalization_mapping": {"VISUAL": "IDENTITY", "STATE": "MEAN_STD", "ACTION": "MEAN_STD"},
        "chunk_size": config.chunk,
        "n_action_steps": config.chunk,
        "max_state_dim": config.max_state_dim,
        "max_action_dim": config.max_action_dim,
        "min_period": 0.004,
        "max_period": 4.0,
        "tokenizer_max_length": config.text_tokens,
        "empty_cameras": 0,
        "rtc_config": None,
    }
    if kind == "pi0":
        return plain | {
            "paligemma_variant": "miniature",
            "action_expert_variant": "miniature",
            "num_inference_steps": config.steps,
            "image_resolution": [28, 28],
            "use_relative_actions": False,
        }
    return plain | {
        "num_steps": config.steps,
        "resize_imgs_with_padding": [32, 32],
        "adapt_to_pi_aloha": False,
        "use_delta_joint_actions_aloha": False,
        "add_image_special_tokens": False,
        "attention_mode": "cross_attn",
        "prefix_length": -1,
        "pad_language_to": "longest",
        "num_expert_layers": -1,
        "num_vlm_layers": 4,
        "self_attn_every_n_layers": 2,
        "expert_width_multiplier": 0.75,
        "vlm_model_name": "HuggingFaceTB/SmolVLM2-500M-Video-Instruct",
    }


def write_json(path, content):
    path.write_text(json.dumps(content))


def write_policy(directory, kind, tensors=None):
    """A policy as LeRobot 0.4 and later writes it: weights, and processors with statistics."""
    directory.mkdir()
    plain = config_json(kind)
    write_json(directory / "config.json", plain)
    save_file(random_tensors(MINIATURES[kind]) if tensors is None else tensors, directory / "model.safetensors")
    norm_map = plain["normalization_mapping"]
    before = [
        {"registry_name": "rename_observations_processor", "config": {"rename_map": {}}},
        {"registry_name": "to_batch_processor", "config": {}},
        {"registry_name": f"{kind}_new_line_processor", "config": {}},
        {"registry_name": "tokenizer_processor", "config": {"max_length": MINIATURES[kind].text_tokens}},
        {"registry_name": "device_processor", "config": {"device": "cuda", "float_dtype": None}},
        {"registry_name": "relative_actions_processor", "config": {"enabled": False}},
        {
            "registry_name": "normalizer_processor",
            "config": {"eps": 1e-8, "features": {}, "norm_map": norm_map},
            "state_file": "policy_preprocessor_step_6_normalizer_processor.safetensors",
        },
    ]
    after = [
        {
            "registry_name": "unnormalizer_processor",
            "config": {"eps": 1e-8, "features": {}, "norm_map": norm_map},
            "state_file": "policy_postprocessor_step_0_unnormalizer_processor.safetensors",
        },
        {"registry_name": "device_processor", "config": {"device": "cpu", "float_dtype": None}},
    ]
    for name, steps in (("policy_preprocessor", before), ("policy_postprocessor", after)):
        write_json(directory / f"{name}.json", {"name": name, "steps": steps})
        for step in steps:
            if "state_file" in step:
                save_file(STATISTICS, directory / step["state_file"])
    word_tokenizer().save(str(directory / "tokenizer.json"))
    return directory


def word_tokenizer():
    words = ("[UNK]", "\n", *sorted({word for phrase in PHRASES for word in phrase.split()}))
    tokenizer = Tokenizer(models.WordLevel({word: i + 10 for i, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "removed")
    return tokenizer


def seen(batch, seed=0):
    """Tensors for a network: two cameras' images, token ids with padding in every other row, padded state."""
    generator = torch.Generator().manual_seed(seed)
    images = [torch.randint(0, 256, (batch, 40, 40, 3), dtype=torch.uint8, generator=generator) for _ in range(2)]
    text = torch.randint(0, 64, (batch, 12), generator=generator)
    text[::2, 7:] = -1
    return images, text, torch.randn(batch, 10, generator=generator)


def observed(batch, seed=0):
    rng = np.random.default_rng(seed)
    images = {name: rng.integers(0, 255, (batch, 40, 40, 3), dtype=np.uint8) for name in ("front", "wrist")}
    state = rng.normal(size=(batch, 7)).astype(np.float32)
    return images, state, [PHRASES[i % 2] for i in range(batch)]
