"""Which backbones a policy is made of. Horizon and action dimensions are not here: they belong to the contract."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


def _small_vision() -> tuple[dict[str, Any], ...]:
    return ({"model_type": "dinov2", "hidden_size": 384, "num_attention_heads": 6, "image_size": 112},)


def _small_language() -> dict[str, Any]:
    return {
        "model_type": "llama",
        "hidden_size": 768,
        "intermediate_size": 2048,
        "num_hidden_layers": 11,
        "num_attention_heads": 12,
        "num_key_value_heads": 12,
    }


@dataclass(frozen=True)
class BackboneVlaConfig:
    """Backbones and what stands between them; the defaults are a DINOv2-small and a Llama of 78 M parameters.

    An entry of `vision`, and `language`, is a mapping: `model_type` names an architecture of transformers, `weights` a
    local directory in its layout (config.json and safetensors; empty: fresh weights), and every other key is a setting
    of that architecture. `vision` also knows `pixels` (side of the image that the backbone sees; its `image_size`
    unless given) and `mean` and `std` (of the pixels in 0..1, three numbers each; the directory's
    preprocessor_config.json, else ImageNet's).
    """

    vision: tuple[dict[str, Any], ...] = field(default_factory=_small_vision)
    """Backbones that see each camera's image; their features are laid side by side."""
    language: dict[str, Any] = field(default_factory=_small_language)
    """The causal language model. With `weights`, its directory's tokenizer.json reads the instructions."""
    grid: int = 8
    """Features of one image are averaged down to grid x grid tokens."""
    text_tokens: int = 16
    """Places for an instruction."""
    bins: int = 256
    """Tokens an action dimension: the last of the vocabulary before its padding."""
    vocab_padding: int = 0
    """Rows at the vocabulary's end that stand for nothing."""

    def __post_init__(self) -> None:
        if not self.vision:
            raise ValueError("vision must name at least one backbone, for example [{model_type: dinov2}]")
        for entry in (*self.vision, self.language):
            if not isinstance(entry, dict) or not isinstance(entry.get("model_type"), str):
                raise ValueError(f"a backbone needs a model_type, for example {{model_type: dinov2}}; got {entry!r}")
        if min(self.grid, self.text_tokens) < 1 or self.bins < 2 or self.vocab_padding < 0:
            raise ValueError(
                f"grid and text_tokens must be at least 1, bins at least 2 and vocab_padding at least 0; got "
                f"{self.grid}, {self.text_tokens}, {self.bins} and {self.vocab_padding}"
            )
