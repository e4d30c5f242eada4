"""The network of SmolVLA (arXiv 2506.01844) as LeRobot trains it: the lower layers of SmolVLM2 and a narrower expert.

Images and instruction see each other, proprioception sees them and itself, an action token sees the prefix and the
actions before it (in layers of cross-attention the prefix alone). Rotary embedding has base 10,000 everywhere, whatever
SmolVLM2's own configuration says.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn
from transformers import LlamaConfig, LlamaModel, SmolVLMConfig
from transformers.models.smolvlm.modeling_smolvlm import SmolVLMConnector, SmolVLMVisionTransformer

from sim_train.policies.lerobot.config import DecoderSizes, SmolVlaConfig
from sim_train.policies.lerobot.decoder import LlamaReads, run, run_after
from sim_train.policies.lerobot.tokens import PADDING, Actions, Encoded, pixels, places


class SmolVlaNetwork(nn.Module):
    """Observations -> keys and values; with them noised actions and time -> velocity."""

    def __init__(self, config: SmolVlaConfig) -> None:
        super().__init__()
        self.config = config
        language, every = config.language, config.self_attention_every
        self.language = _llama(language, language.width, language.mlp, language.vocab, 1)
        vlm = SmolVLMConfig(
            text_config=self.language.config,
            vision_config={
                "model_type": "smolvlm_vision",
                "hidden_size": config.vision.width,
                "intermediate_size": config.vision.mlp,
                "num_hidden_layers": config.vision.layers,
                "num_attention_heads": config.vision.heads,
                "image_size": config.vision.image_size,
                "patch_size": config.vision.patch,
            },
            scale_factor=config.scale_factor,
        )
        self.vision = SmolVLMVisionTransformer._from_config(vlm.vision_config, attn_implementation="sdpa")
        self.connector = SmolVLMConnector(vlm)
        self.expert = _llama(language, config.expert_width, config.expert_mlp, 1, every)
        del self.expert.embed_tokens  # it is given embeddings, never words
        self.state = nn.Linear(config.max_state_dim, config.language.width)
        self.actions = Actions(config)
        self.trunk = nn.Identity()  # where a critic may read what was encoded

    def encode(self, images: Sequence[torch.Tensor], text: torch.Tensor, state: torch.Tensor) -> Encoded:
        """Encode B observations; arguments as for `Pi0Network.encode`."""
        size, scale = self.config.vision.image_size, math.sqrt(self.config.language.width)
        seen = [self.connector(self.vision(pixels(image, size)).last_hidden_state) * scale for image in images]
        spoken = text != PADDING
        words = self.language.embed_tokens(text.clamp_min(0)) * scale
        sequence = torch.cat([*seen, words, self.state(state)[:, None]], dim=1)
        before = sequence.shape[1] - text.shape[1] - 1
        visible = torch.cat([spoken.new_ones(len(text), before), spoken, spoken.new_ones(len(text), 1)], dim=1)
        look = visible[:, None].repeat(1, sequence.shape[1], 1)
        look[:, :-1, -1] = False  # images and instruction do not see proprioception
        hidden, kept = run(self.language, sequence, places(visible), look[:, None])
        self.trunk(hidden)
        return Encoded(kept, visible, state)

    def velocity(self, prefix: Encoded, noised: torch.Tensor, time: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Velocity (B, chunk, max_action_dim) and hidden states; arguments as for `Pi0Network.velocity`."""
        steps = torch.arange(noised.shape[1], device=noised.device)
        before = steps <= steps[:, None]
        hidden = run_after(self.expert, self.actions(noised, time), prefix.keys_values, prefix.visible, before)
        return self.actions.leave(hidden), hidden


def _llama(sizes: DecoderSizes, width: int, mlp: int, vocab: int, self_attention_every: int) -> LlamaModel:
    config = LlamaConfig(
        vocab_size=vocab,
        hidden_size=width,
        intermediate_size=mlp,
        num_hidden_layers=0,
        num_attention_heads=sizes.heads,
        num_key_value_heads=sizes.kv_heads,
        head_dim=sizes.head_width,
        rms_norm_eps=1e-5,
        rope_parameters={"rope_type": "default", "rope_theta": 10_000.0},
        max_position_embeddings=8192,
        pad_token_id=None,
        bos_token_id=None,
        eos_token_id=None,
    )
    model = LlamaModel(config)
    model.layers.extend(LlamaReads(config, i, crosses=i % self_attention_every != 0) for i in range(sizes.layers))
    model.layers.apply(model._init_weights)
    config.num_hidden_layers = sizes.layers
    return model
