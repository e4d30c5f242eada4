"""Decoder layers that hand out their keys and values, and read those of another model's layer.

The layers are transformers' own in everything but the order of calls: one call of a layer does all that its weights
are for, so that layers can be cut over processes and activations computed again instead of kept.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional
from transformers import GemmaModel, LlamaConfig, LlamaModel
from transformers.models.gemma.modeling_gemma import GemmaDecoderLayer
from transformers.models.llama.modeling_llama import LlamaDecoderLayer, apply_rotary_pos_emb

KeysValues = tuple[torch.Tensor, torch.Tensor]
"""Of one layer, (B, kv_heads, P, head width) each."""


class GemmaReads(GemmaDecoderLayer):
    """Gemma's layer."""

    def forward(  # type: ignore[override]
        self, x: torch.Tensor, rotary: KeysValues, mask: torch.Tensor, before: KeysValues | None = None
    ) -> tuple[torch.Tensor, KeysValues]:
        """As `_read` says."""
        return _read(self, x, rotary, mask, before)


class LlamaReads(LlamaDecoderLayer):
    """Llama's layer.

    Args:
        config: of the model.
        index: of the layer.
        crosses: its keys and values are made of another model's, and nothing else is read.
    """

    def __init__(self, config: LlamaConfig, index: int, crosses: bool) -> None:
        super().__init__(config, index)
        self.crosses = crosses
        if crosses:
            width = self.self_attn.k_proj.out_features
            self.self_attn.k_proj = nn.Linear(width, width, bias=False)
            self.self_attn.v_proj = nn.Linear(width, width, bias=False)

    def forward(  # type: ignore[override]
        self, x: torch.Tensor, rotary: KeysValues, mask: torch.Tensor, before: KeysValues | None = None
    ) -> tuple[torch.Tensor, KeysValues]:
        """As `_read` and `_cross` say."""
        if self.crosses:
            assert before is not None  # an expert is always given its prefix
            return _cross(self, x, rotary, mask, before), before
        return _read(self, x, rotary, mask, before)


def _read(
    layer: GemmaDecoderLayer | LlamaDecoderLayer,
    x: torch.Tensor,
    rotary: KeysValues,
    mask: torch.Tensor,
    before: KeysValues | None,
) -> tuple[torch.Tensor, KeysValues]:
    """Hidden states (B, N, width), and keys and values of these tokens.

    Args:
        layer: the weights.
        x: (B, N, width).
        rotary: cosine and sine of the tokens' positions.
        mask: (B or 1, 1, N or 1, P + N) bool; true where a token may look.
        before: keys and values of the P tokens in front; None: there are none.
    """
    inner, attention = layer.input_layernorm(x), layer.self_attn
    query, keys, values = (_split(layer, of(inner)) for of in (attention.q_proj, attention.k_proj, attention.v_proj))
    query, keys = apply_rotary_pos_emb(query, keys, *rotary)
    if before is None:
        return _finish(layer, x, query, keys, values, mask), (keys, values)
    seen = torch.cat([before[0], keys], dim=2), torch.cat([before[1], values], dim=2)
    return _finish(layer, x, query, *seen, mask), (keys, values)


def _cross(
    layer: LlamaDecoderLayer, x: torch.Tensor, rotary: KeysValues, mask: torch.Tensor, before: KeysValues
) -> torch.Tensor:
    """Hidden states (B, N, width) of a layer of cross-attention; its mask is (B or 1, 1, N or 1, P)."""
    query = _split(layer, layer.self_attn.q_proj(layer.input_layernorm(x)))
    query, _ = apply_rotary_pos_emb(query, query, *rotary)
    keys, values = (of.transpose(1, 2).flatten(2) for of in before)
    keys, values = layer.self_attn.k_proj(keys), layer.self_attn.v_proj(values)
    return _finish(layer, x, query, _split(layer, keys), _split(layer, values), mask)


def _split(layer: GemmaDecoderLayer | LlamaDecoderLayer, x: torch.Tensor) -> torch.Tensor:
    """(B, N, heads * head width) -> (B, heads, N, head width)."""
    return x.unflatten(-1, (-1, layer.self_attn.head_dim)).transpose(1, 2)


def _finish(
    layer: GemmaDecoderLayer | LlamaDecoderLayer,
    x: torch.Tensor,
    query: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    mask: torch.Tensor,
) -> torch.Tensor:
    mixed = functional.scaled_dot_product_attention(query, keys, values, attn_mask=mask, enable_gqa=True)
    x = x + layer.self_attn.o_proj(mixed.transpose(1, 2).flatten(2))
    mapped: torch.Tensor = layer.mlp(layer.post_attention_layernorm(x))
    return x + mapped


def run(
    model: GemmaModel | LlamaModel, tokens: torch.Tensor, positions: torch.Tensor, mask: torch.Tensor
) -> tuple[torch.Tensor, tuple[KeysValues, ...]]:
    """All layers and the norm after them: hidden states (B, N, width), and the keys and values of each layer.

    Args:
        model: with `GemmaReads` or `LlamaReads` for layers.
        tokens: (B, N, width).
        positions: (B, N) int64 for rotary embedding.
        mask: as for a layer.
    """
    rotary, x, kept = model.rotary_emb(tokens, positions), tokens, []
    for layer in model.layers:
        x, keys_values = layer(x, rotary, mask)
        kept.append(keys_values)
    return model.norm(x), tuple(kept)


def run_after(
    model: GemmaModel | LlamaModel,
    tokens: torch.Tensor,
    before: Sequence[KeysValues],
    visible: torch.Tensor,
    among: torch.Tensor,
) -> torch.Tensor:
    """Hidden states (B, N, width) of an expert, whose tokens stand behind a prefix.

    Args:
        model: with any of the layers above.
        tokens: (B, N, width).
        before: keys and values of the prefix for each layer.
        visible: (B, P) bool; false for padding, which takes no place either.
        among: (N, N) bool; which of its tokens each of them sees. Layers of cross-attention see none.
    """
    steps = torch.arange(tokens.shape[1], device=tokens.device)
    behind = model.rotary_emb(tokens, visible.sum(1, keepdim=True) + steps)
    alone = model.rotary_emb(tokens, steps[None])
    of_prefix = visible[:, None, None].expand(-1, -1, len(steps), -1)
    of_all = torch.cat([of_prefix, among.expand(len(tokens), 1, -1, -1)], dim=-1)
    x = tokens
    for layer, keys_values in zip(model.layers, before, strict=True):
        crosses = isinstance(layer, LlamaReads) and layer.crosses
        x, _ = layer(x, alone if crosses else behind, of_prefix if crosses else of_all, keys_values)
    normed: torch.Tensor = model.norm(x)
    return normed
