"""A policy of backbones small enough for tests, and observations for it."""

import dataclasses

import numpy as np
import torch
from toy_env import PHRASES, TOY_SPEC

from sim_train.policies.backbone_vla.config import BackboneVlaConfig
from sim_train.policies.backbone_vla.policy import BackboneVla
from sim_train.policies.text import build_vocabulary

VIT = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 16, "patch_size": 4}
LLAMA = {
    "model_type": "llama",
    "hidden_size": 24,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "initializer_range": 0.2,
}
MINI = BackboneVlaConfig(
    vision=({"model_type": "dinov2", **VIT, "initializer_range": 0.2},),
    language=LLAMA,
    grid=2,
    text_tokens=4,
    bins=16,
)
SPEC = dataclasses.replace(TOY_SPEC, model="backbone_vla")


def made(seed=0, spec=SPEC, **changes):
    torch.manual_seed(seed)
    return BackboneVla(spec, dataclasses.replace(MINI, **changes), build_vocabulary(PHRASES)).eval()


def seen(batch, seed=0):
    rng = np.random.default_rng(seed)
    images = {"front": rng.integers(0, 255, (batch, 16, 16, 3), dtype=np.uint8)}
    return images, rng.normal(size=(batch, 7)).astype(np.float32), [PHRASES[i % 2] for i in range(batch)]
