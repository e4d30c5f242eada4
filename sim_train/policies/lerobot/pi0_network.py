"""The network of pi0 (arXiv 2410.24164) as LeRobot trains it: PaliGemma, and a Gemma that reads its keys and values.

Images and instruction see each other; the expert's first token, proprioception, sees them and itself; action tokens see
all of that and each other.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from transformers import DynamicCache, GemmaConfig, GemmaModel, SiglipVisionConfig, SiglipVisionModel

from sim_train.policies.lerobot.config import DecoderSizes, Pi0Config
from sim_train.policies.lerobot.tokens import PADDING, Actions, Encoded, additive, pixels, places


class Pi0Network(nn.Module):
    """Observations -> keys and values; with them noised actions and time -> velocity."""

    def __init__(self, config: Pi0Config) -> None:
        super().__init__()
        self.config = config
        vision, language = config.vision, config.language
        self.vision = SiglipVisionModel(
            SiglipVisionConfig(  # type: ignore[call-arg]  # attn_implementation is taken by its base class
                hidden_size=vision.width,
                intermediate_size=vision.mlp,
                num_hidden_layers=vision.layers,
                num_attention_heads=vision.heads,
                image_size=vision.image_size,
                patch_size=vision.patch,
                vision_use_head=False,
                attn_implementation="sdpa",
            )
        )
        self.projector = nn.Linear(vision.width, language.width)
        self.language = GemmaModel(_gemma(language, language.width, language.mlp, language.vocab))
        self.expert = GemmaModel(_gemma(language, config.expert_width, config.expert_mlp, 1))
        del self.expert.embed_tokens  # it is given embeddings, never words
        self.state = nn.Linear(config.max_state_dim, config.expert_width)
        self.actions = Actions(config)

    def encode(self, images: Sequence[torch.Tensor], text: torch.Tensor, state: torch.Tensor) -> Encoded:
        """Encode B observations.

        Args:
            images: (B, S, S, 3) uint8 for each camera, in the network's order.
            text: (B, T) token ids, `PADDING` where there is none.
            state: (B, max_state_dim), normalised and padded.
        """
        size = self.config.vision.image_size
        seen = [self.projector(self.vision(pixels(image, size)).last_hidden_state) for image in images]
        spoken = text != PADDING
        words = self.language.embed_tokens(text.clamp_min(0))  # Gemma's embedding scales words, not images
        sequence = torch.cat([*seen, words], dim=1)
        visible = torch.cat([spoken.new_ones(len(text), sequence.shape[1] - text.shape[1]), spoken], dim=1)
        out = self.language(
            inputs_embeds=sequence,
            attention_mask=additive(visible[:, None], sequence.dtype),
            position_ids=places(visible),
            use_cache=True,
        )
        return Encoded(tuple((layer.keys, layer.values) for layer in out.past_key_values.layers), visible, state)

    def velocity(self, prefix: Encoded, noised: torch.Tensor, time: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Velocity (B, chunk, max_action_dim) and hidden states (B, chunk, expert_width).

        Args:
            prefix: from `encode`.
            noised: (B, chunk, max_action_dim).
            time: (B,) in 0..1; 1 is noise.
        """
        tokens = torch.cat([self.state(prefix.state)[:, None], self.actions(noised, time)], dim=1)
        count = tokens.shape[1]
        among = torch.ones(count, count, dtype=torch.bool, device=tokens.device)
        among[0, 1:] = False  # proprioception does not see the actions
        look = torch.cat([prefix.visible[:, None].expand(-1, count, -1), among.expand(len(tokens), -1, -1)], dim=2)
        out = self.expert(
            inputs_embeds=tokens,
            attention_mask=additive(look, tokens.dtype),
            position_ids=prefix.visible.sum(1, keepdim=True) + torch.arange(count, device=tokens.device),
            past_key_values=DynamicCache(prefix.keys_values),
            use_cache=True,
        )
        hidden = out.last_hidden_state[:, 1:]
        return self.actions.leave(hidden), hidden


def _gemma(sizes: DecoderSizes, width: int, mlp: int, vocab: int) -> GemmaConfig:
    return GemmaConfig(  # type: ignore[call-arg]  # attn_implementation is taken by its base class
        vocab_size=vocab,
        hidden_size=width,
        intermediate_size=mlp,
        num_hidden_layers=sizes.layers,
        num_attention_heads=sizes.heads,
        num_key_value_heads=sizes.kv_heads,
        head_dim=sizes.head_width,
        pad_token_id=None,
        bos_token_id=None,
        eos_token_id=None,
        attn_implementation="sdpa",
    )
