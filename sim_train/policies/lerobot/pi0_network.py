"""The network of pi0 (arXiv 2410.24164) as LeRobot trains it: PaliGemma, and a Gemma that reads its keys and values.

Images and instruction see each other; the expert's first token, proprioception, sees them and itself; action tokens see
all of that and each other.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from transformers import GemmaConfig, GemmaModel, SiglipVisionConfig, SiglipVisionModel

from sim_train.policies.lerobot.config import DecoderSizes, Pi0Config
from sim_train.policies.lerobot.decoder import GemmaReads, run, run_after
from sim_train.policies.lerobot.tokens import PADDING, Actions, Encoded, pixels, places


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
        self.language = _gemma(language, language.width, language.mlp, language.vocab)
        self.expert = _gemma(language, config.expert_width, config.expert_mlp, 1)
        del self.expert.embed_tokens  # it is given embeddings, never words
        self.state = nn.Linear(config.max_state_dim, config.expert_width)
        self.actions = Actions(config)
        self.trunk = nn.Identity()  # where a critic may read what was encoded

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
        hidden, kept = run(self.language, sequence, places(visible), visible[:, None, None])
        self.trunk(hidden)
        return Encoded(kept, visible, state)

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
        hidden = run_after(self.expert, tokens, prefix.keys_values, prefix.visible, among)[:, 1:]
        return self.actions.leave(hidden), hidden


def _gemma(sizes: DecoderSizes, width: int, mlp: int, vocab: int) -> GemmaModel:
    config = GemmaConfig(
        vocab_size=vocab,
        hidden_size=width,
        intermediate_size=mlp,
        num_hidden_layers=0,
        num_attention_heads=sizes.heads,
        num_key_value_heads=sizes.kv_heads,
        head_dim=sizes.head_width,
        pad_token_id=None,
        bos_token_id=None,
        eos_token_id=None,
    )
    model = GemmaModel(config)
    model.layers.extend(GemmaReads(config, index) for index in range(sizes.layers))
    model.layers.apply(model._init_weights)
    config.num_hidden_layers = sizes.layers
    return model
