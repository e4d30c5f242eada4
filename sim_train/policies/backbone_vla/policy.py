"""The policy: backbones in, action tokens out; see `sim_train.policies.protocol.Policy` for its interface.

The shape of OpenVLA-OFT (arXiv 2502.19645) with any backbones: visual tokens through an MLP projector, one token of
proprioception, the instruction and H * A placeholders. The language model reads all of them at once, without its causal
mask; each placeholder's output gives one action token through a slice of the model's own output layer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from policy_api.schema import PolicySpec
from torch import nn
from transformers import PretrainedConfig

from sim_train.policies.action_tokens import choose_tokens, token_log_prob
from sim_train.policies.backbone_vla.backbones import (
    BackboneError,
    decode,
    embedding_table,
    make_config,
    make_language,
    settings_of,
)
from sim_train.policies.backbone_vla.config import BackboneVlaConfig
from sim_train.policies.backbone_vla.text import HIDDEN, PretrainedTokenizer
from sim_train.policies.backbone_vla.vision import Vision
from sim_train.policies.binning import ActionBinning
from sim_train.policies.contracted import ContractedPolicy
from sim_train.policies.imitation import SftLossConfig, SftReport, cross_entropy, smoothed_targets
from sim_train.policies.observations import state_scale
from sim_train.policies.protocol import LogProb, PolicyInputs, PolicyOutput
from sim_train.policies.text import InstructionTokenizer


class BackboneVla(ContractedPolicy):
    """Action tokens from any vision backbones and causal language model of transformers.

    Args:
        spec: the contract: cameras, state, action bounds, horizon.
        config: the backbones.
        vocabulary: words of the instructions, from `build_vocabulary`; empty where `tokenizer` reads them.
        tokenizer: content of the language model's tokenizer.json; needed where the model is not fresh, unless its
            directory (`language.weights`) has it.

    Raises:
        BackboneError: a backbone, its weights or its tokenizer cannot be used.
    """

    ratio: Final = "token"
    imitation_draw_size: Final = 0

    def __init__(
        self, spec: PolicySpec, config: BackboneVlaConfig, vocabulary: Sequence[str] = (), tokenizer: str = ""
    ) -> None:
        super().__init__(spec)
        self.config = config
        self.binning = ActionBinning([f.lower for f in spec.action], [f.upper for f in spec.action], config.bins)
        weights = config.language.get("weights", "")
        self.tokenizer: InstructionTokenizer | PretrainedTokenizer
        if tokenizer:
            self.tokenizer = PretrainedTokenizer(tokenizer, config.text_tokens)
        elif weights:
            self.tokenizer = PretrainedTokenizer.load(Path(weights), config.text_tokens)
        else:
            self.tokenizer = InstructionTokenizer(vocabulary, config.text_tokens)
        action_tokens = spec.horizon * len(spec.action)
        places = len(spec.cameras) * config.grid**2 + 1 + config.text_tokens + action_tokens

        self.vision = Vision(config.vision, config.grid)
        self.language = make_language(config.language, self._language_config(places))
        width = embedding_table(self.language).shape[1]
        self.projector = nn.Sequential(nn.Linear(self.vision.width, width), nn.GELU(), nn.Linear(width, width))
        self.proprio = nn.Sequential(nn.Linear(len(spec.state), width), nn.GELU(), nn.Linear(width, width))
        spread = float(getattr(self.language.config, "initializer_range", 0.02))
        self.placeholders = nn.Parameter(torch.randn(action_tokens, width) * spread)
        self.register_buffer("state_mean", torch.zeros(len(spec.state)))
        self.register_buffer("state_scale", torch.ones(len(spec.state)))
        lower, upper = (torch.tensor([getattr(f, end) for f in spec.action]) for end in ("lower", "upper"))
        self.register_buffer("lower", lower, persistent=False)
        self.register_buffer("range", upper - lower, persistent=False)
        self.register_buffer("centres", (torch.arange(config.bins) + 0.5) / config.bins, persistent=False)

    @property
    def settings(self) -> dict[str, Any]:
        """`BackboneVlaConfig` as plain JSON that builds the same network without the directories of its weights."""
        own = {name: getattr(self.config, name) for name in ("grid", "text_tokens", "bins", "vocab_padding")}
        config = self.language.config
        language = {"model_type": config.model_type, **settings_of(config)}
        return {"vision": self.vision.entries, "language": language, **own}

    @property
    def action_head(self) -> tuple[nn.Module, int]:
        """The output layer and the width of what it reads: the trunk that PPO's critic taps."""
        head = self.language.get_output_embeddings()
        return head, head.weight.shape[1]

    def normalise_state_by(self, state: NDArray[np.float32]) -> None:
        """Centre and scale proprioception by the statistics of (N, S) recorded states."""
        values = torch.as_tensor(state, dtype=torch.float32)
        self.get_buffer("state_mean").copy_(values.mean(0))
        self.get_buffer("state_scale").copy_(state_scale(values))

    def embed(self, inputs: PolicyInputs) -> tuple[torch.Tensor, torch.Tensor]:
        """The sequence that the language model reads, and which of its places hold something.

        In order: patches of each camera, proprioception, the instruction, a placeholder for each action token.

        Returns:
            Embeddings (B, N, width) and visible (B, N) bool.
        """
        text = inputs.text
        seen = [self.projector(self.vision(inputs.images[c.name])) for c in self._spec.cameras]
        normalised = (inputs.state - self.get_buffer("state_mean")) / self.get_buffer("state_scale")
        seen.append(self.proprio(normalised.clamp(-10, 10))[:, None])
        spoken = text != (HIDDEN if isinstance(self.tokenizer, PretrainedTokenizer) else 0)
        words = self.language.get_input_embeddings()(text.clamp_min(0))
        placeholders = self.placeholders.expand(len(text), -1, -1)
        sequence = torch.cat([*(part.to(words.dtype) for part in seen), words, placeholders.to(words.dtype)], dim=1)
        before, after = sum(part.shape[1] for part in seen), placeholders.shape[1]
        return sequence, nn.functional.pad(nn.functional.pad(spoken, (before, 0), value=True), (0, after), value=True)

    def forward(self, inputs: PolicyInputs) -> torch.Tensor:
        """Logits (B, H, A, bins) in float32, over the action slice of the vocabulary alone."""
        logits = decode(self.language, *self.embed(inputs), self.draw_size)
        end = logits.shape[-1] - self.config.vocab_padding
        shape = (self._spec.horizon, len(self._spec.action))
        return logits[..., end - self.config.bins : end].float().unflatten(1, shape)

    def log_prob(self, inputs: PolicyInputs, drawn: Mapping[str, torch.Tensor], temperature: float) -> LogProb:
        """Likelihood of drawn["tokens"] (B, H, A) at a temperature above 0."""
        return token_log_prob(self(inputs), drawn["tokens"], temperature)

    @torch.no_grad()
    def act(
        self,
        images: Mapping[str, NDArray[np.uint8]],
        state: NDArray[np.float32],
        instructions: Sequence[str],
        temperature: float = 0.0,
        draws: NDArray[np.float32] | None = None,
    ) -> PolicyOutput:
        """Choose one chunk for each observation; see `Policy.act`."""
        tokens, log_probs = choose_tokens(self(self.inputs(images, state, instructions)), temperature, draws)
        return PolicyOutput(self.binning.decode(tokens), {"tokens": tokens}, log_probs)

    def imitation_loss(
        self,
        inputs: PolicyInputs,
        actions: torch.Tensor,
        weights: torch.Tensor,
        target_position: torch.Tensor,
        config: SftLossConfig,
        draws: torch.Tensor,
    ) -> tuple[torch.Tensor, SftReport]:
        """Cross-entropy against smoothed tokens; there is no auxiliary loss. See `Policy.imitation_loss`."""
        logits = self(inputs)
        place = (actions.to(logits.device) - self.get_buffer("lower")) / self.get_buffer("range")
        targets = smoothed_targets(place, self.get_buffer("centres"), config.sigma)
        loss, excess = cross_entropy(logits, targets, weights.to(logits.device))
        return loss, SftReport(excess, None)

    def _language_config(self, places: int) -> PretrainedConfig:
        """The language model's configuration, with room for the words, the action tokens and all places."""
        entry, bins, padding = self.config.language, self.config.bins, self.config.vocab_padding
        config = make_config(entry)
        own = isinstance(self.tokenizer, PretrainedTokenizer)
        words = 0 if isinstance(self.tokenizer, PretrainedTokenizer) else len(self.tokenizer.vocabulary)
        if not own and "vocab_size" not in entry:
            config.vocab_size = words + bins + padding
            config.pad_token_id = config.bos_token_id = config.eos_token_id = None
        if config.vocab_size < words + bins + padding:
            raise BackboneError(
                f"{config.model_type}: a vocabulary of {config.vocab_size} has no room for {words} words, {bins} bins "
                f"and {padding} rows of padding"
            )
        most = getattr(config, "max_position_embeddings", places)
        if most < places:
            if own or "vocab_size" in entry:
                raise BackboneError(
                    f"{config.model_type} has {most} positions, and the policy needs {places}: lower grid, "
                    "text_tokens, or the number of cameras"
                )
            config.max_position_embeddings = places
        return config
