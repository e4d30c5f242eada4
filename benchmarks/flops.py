"""Operations of a policy's forward pass, counted from its sizes."""

from __future__ import annotations

from typing import Any, cast

from torch import nn

from sim_train.policies.backbone_vla.policy import BackboneVla
from sim_train.policies.backbone_vla.vision import VisionTower
from sim_train.scale.layers import repeated_layers

FORMULA = (
    "forward = sum over backbones of (2 * weights of the layers' linear parts * tokens + 4 * layers * tokens^2 * "
    "attention width) + patches + projector + output layer; a training pass is 3 forwards, as the backward pass costs "
    "two, and what activation checkpoints compute again does not count; "
    "MFU = operations / (seconds * dense bfloat16 peak)"
)


def forward_flops(policy: BackboneVla) -> float:
    """Floating-point operations, multiplications and additions, of one forward pass of one observation."""
    cameras, config = len(policy.spec.cameras), policy.config
    total = 0.0
    for tower in policy.vision.towers:
        tower = cast(VisionTower, tower)
        backbone: Any = tower.backbone
        patch, width = int(backbone.config.patch_size), int(backbone.config.hidden_size)
        patches = (tower.pixels // patch) ** 2
        tokens = patches + 1 + int(getattr(backbone.config, "num_register_tokens", 0))
        total += cameras * (2 * 3 * patch**2 * width * patches + layers_flops(backbone, tokens, width))
    seen = cameras * config.grid**2
    total += 2 * linear_weights(policy.projector) * seen + 2 * linear_weights(policy.proprio)
    language: Any = policy.language.config
    head_dim = getattr(language, "head_dim", None) or language.hidden_size // language.num_attention_heads
    tokens = seen + 1 + config.text_tokens + policy.draw_size
    total += layers_flops(policy.language, tokens, head_dim * language.num_attention_heads)
    return total + 2 * linear_weights(policy.action_head[0]) * policy.draw_size


def layers_flops(model: nn.Module, tokens: int, attention_width: int) -> float:
    """Of one pass of `tokens` tokens through a backbone's layers, every token attending to every other."""
    layers = repeated_layers(model).values()
    weights = sum(linear_weights(layer) for layer in layers)
    return 2.0 * weights * tokens + 4.0 * len(layers) * tokens**2 * attention_width


def linear_weights(module: nn.Module) -> int:
    """Weights of all linear layers in a module."""
    return sum(part.weight.numel() for part in module.modules() if isinstance(part, nn.Linear))
