"""SmolVLA's action expert: a narrow Llama whose layers attend to prefix and actions or to the prefix alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

import torch
from torch import nn
from torch.nn import functional
from transformers import LlamaConfig
from transformers.models.llama.modeling_llama import (
    LlamaDecoderLayer,
    LlamaRMSNorm,
    LlamaRotaryEmbedding,
    apply_rotary_pos_emb,
)

KeysValues = Sequence[tuple[torch.Tensor, torch.Tensor]]


class SmolVlaExpert(nn.Module):
    """Tokens of actions -> hidden states.

    Args:
        config: of the expert.
        self_attention_every: n; layers 0, n, 2 n .. have self-attention, the others cross-attention.
    """

    def __init__(self, config: LlamaConfig, self_attention_every: int) -> None:
        super().__init__()
        head_width = cast("int", config.head_dim)
        self.heads = (-1, head_width)
        self.layers = nn.ModuleList(LlamaDecoderLayer(config, i) for i in range(config.num_hidden_layers))
        self.norm = LlamaRMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.rotary = LlamaRotaryEmbedding(config)
        self.crosses = [i % self_attention_every != 0 for i in range(config.num_hidden_layers)]
        width = cast("int", config.num_key_value_heads) * head_width
        for layer, crosses in zip(self._layers(), self.crosses, strict=True):
            if crosses:  # its keys and values are made of the language model's
                layer.self_attn.k_proj = nn.Linear(width, width, bias=False)
                layer.self_attn.v_proj = nn.Linear(width, width, bias=False)

    def read(self, keys_values: KeysValues) -> tuple[tuple[torch.Tensor, torch.Tensor], ...]:
        """What each layer looks at, of the language model's keys and values (B, kv_heads, P, head width) for each."""
        seen = []
        for layer, crosses, (keys, values) in zip(self._layers(), self.crosses, keys_values, strict=True):
            if crosses:
                keys = self._split(layer.self_attn.k_proj(keys.transpose(1, 2).flatten(2)))
                values = self._split(layer.self_attn.v_proj(values.transpose(1, 2).flatten(2)))
            seen.append((keys, values))
        return tuple(seen)

    def forward(self, tokens: torch.Tensor, seen: KeysValues, visible: torch.Tensor) -> torch.Tensor:
        """Hidden states (B, N, width) of tokens (B, N, width).

        Args:
            tokens: of the noised actions.
            seen: from `read`.
            visible: (B, P) bool; which of the prefix's tokens are there.
        """
        count = tokens.shape[1]
        steps = torch.arange(count, device=tokens.device)
        after = self.rotary(tokens, visible.sum(1, keepdim=True) + steps)
        alone = self.rotary(tokens, steps[None])
        of_prefix = visible[:, None, None].expand(-1, -1, count, -1)
        before = (steps <= steps[:, None]).expand(len(tokens), 1, -1, -1)
        of_all = torch.cat([of_prefix, before], dim=-1)

        x = tokens
        for layer, crosses, (keys, values) in zip(self._layers(), self.crosses, seen, strict=True):
            attention, inner = layer.self_attn, layer.input_layernorm(x)
            query = self._split(attention.q_proj(inner))
            if crosses:
                query, _ = apply_rotary_pos_emb(query, query, *alone)
            else:
                own = self._split(attention.k_proj(inner))
                query, own = apply_rotary_pos_emb(query, own, *after)
                keys = torch.cat([keys, own], dim=2)
                values = torch.cat([values, self._split(attention.v_proj(inner))], dim=2)
            mixed = functional.scaled_dot_product_attention(
                query, keys, values, attn_mask=of_prefix if crosses else of_all, enable_gqa=True
            )
            x = x + attention.o_proj(mixed.transpose(1, 2).flatten(2))
            x = x + layer.mlp(layer.post_attention_layernorm(x))
        return self.norm(x)

    def _layers(self) -> Iterable[LlamaDecoderLayer]:
        return cast("Iterable[LlamaDecoderLayer]", self.layers)

    def _split(self, x: torch.Tensor) -> torch.Tensor:
        """(B, N, heads * head width) -> (B, heads, N, head width)."""
        return x.unflatten(-1, self.heads).transpose(1, 2)
