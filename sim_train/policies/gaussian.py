"""Policies that answer with a Gaussian over the chunk: its mean is the network's, its spread is learned beside it.

The chunk is measured in its range, -1..1 in every dimension. What is sampled is kept as it was drawn ("raw"); only the
action that is played is cut to the range, so that the likelihood stays that of a Gaussian, as in PPO on continuous
control (arXiv 1707.06347).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from policy_api.schema import PolicySpec
from torch import nn

from sim_train.policies.contracted import ContractedPolicy
from sim_train.policies.flow_steps import gaussian_entropy, gaussian_log_prob
from sim_train.policies.imitation import SftLossConfig, place_loss
from sim_train.policies.observations import state_scale
from sim_train.policies.protocol import LogProb, PolicyInputs, PolicyOutput
from sim_train.policies.text import InstructionTokenizer


@dataclass(frozen=True)
class Spread:
    """Standard deviation of a sample, where an action's range is -1..1."""

    low: float = 0.02
    """Least; the log-density of what was played must not hang on rounding."""
    start: float = 0.2
    """In fresh weights."""
    high: float = 1.0
    """Largest."""

    def validate(self) -> None:
        """Raise ValueError unless 0 < low < start < high."""
        if not 0 < self.low < self.start < self.high:
            raise ValueError(f"a spread needs 0 < low < start < high; got {self.low}, {self.start}, {self.high}")


class GaussianPolicy(ContractedPolicy):
    """What all Gaussian policies share; a kind adds `forward` and `imitation_loss`.

    See `sim_train.policies.protocol.Policy` for the interface.

    Args:
        spec: the contract.
        spread: bounds of the standard deviation.
        vocabulary: words of the instructions, from `build_vocabulary`.
        text_tokens: tokens an instruction.

    Raises:
        ValueError: a spread without room, or an action without a finite range.
    """

    ratio: Final = "token"
    mean: nn.Linear
    """The layer that gives the mean; what goes into it, (B, T, width), is the trunk that a critic reads."""

    def __init__(self, spec: PolicySpec, spread: Spread, vocabulary: Sequence[str], text_tokens: int) -> None:
        super().__init__(spec)
        spread.validate()
        self._spread = spread
        self._lower = np.array([f.lower for f in spec.action])
        self._range = np.array([f.upper for f in spec.action]) - self._lower
        self.tokenizer = InstructionTokenizer(vocabulary, text_tokens)
        share = np.log(spread.start / spread.low) / np.log(spread.high / spread.low)
        self.spread = nn.Parameter(torch.full((spec.horizon, len(spec.action)), float(np.log(share / (1 - share)))))
        self.register_buffer("state_mean", torch.zeros(len(spec.state)))
        self.register_buffer("state_scale", torch.ones(len(spec.state)))

    @property
    def imitation_draw_size(self) -> int:
        """Uniform numbers that `imitation_loss` needs for one observation."""
        return 0

    @property
    def action_head(self) -> tuple[nn.Module, int]:
        """The module that makes actions of trunk features (B, T, width), and the width, for a critic."""
        return self.mean, self.mean.in_features

    @abstractmethod
    def forward(self, inputs: PolicyInputs) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean (B, H, A) in -1..1, and the auxiliary estimate (B, 3) of the target's place in metres."""

    def std(self, temperature: float = 1.0) -> torch.Tensor:
        """Standard deviation (H, A) of samples at a temperature above 0; it scales with the temperature."""
        if not (np.isfinite(temperature) and temperature > 0):
            raise ValueError(f"a Gaussian's spread needs a finite temperature above 0; got {temperature}")
        low, high = self._spread.low, self._spread.high
        return temperature * low * (high / low) ** self.spread.sigmoid()

    def normalise_state_by(self, state: NDArray[np.float32]) -> None:
        """Centre and scale the state by the statistics of (N, S) recorded states."""
        values = torch.as_tensor(state, dtype=torch.float32)
        self.get_buffer("state_mean").copy_(values.mean(0))
        self.get_buffer("state_scale").copy_(state_scale(values))

    def normalised_state(self, inputs: PolicyInputs) -> torch.Tensor:
        """States (B, S), centred and scaled."""
        return ((inputs.state - self.get_buffer("state_mean")) / self.get_buffer("state_scale")).clamp(-10, 10)

    def normalise(self, actions: torch.Tensor) -> torch.Tensor:
        """Actions (..., A) in the contract's units -> their place in the range, -1..1."""
        lower, size = (torch.from_numpy(end).to(actions) for end in (self._lower, self._range))
        return (actions - lower) / size * 2 - 1

    def in_units(self, raw: torch.Tensor) -> NDArray[np.float32]:
        """The inverse of `normalise`; what lies outside the range goes to its end."""
        share = (raw.detach().cpu().numpy().astype(np.float64).clip(-1, 1) + 1) / 2
        return (self._lower + share * self._range).astype(np.float32)

    @torch.no_grad()
    def act(
        self,
        images: Mapping[str, NDArray[np.uint8]],
        state: NDArray[np.float32],
        instructions: Sequence[str],
        temperature: float = 0.0,
        draws: NDArray[np.float32] | None = None,
    ) -> PolicyOutput:
        """Choose one chunk for each observation: the mean at temperature 0, else a sample; see `Policy.act`."""
        mean = self(self.inputs(images, state, instructions))[0]
        if temperature == 0:
            at_mean = gaussian_log_prob(mean, mean, self.std().expand_as(mean))
            return PolicyOutput(self.in_units(mean), {}, at_mean.cpu().numpy())
        std = self.std(temperature).expand_as(mean)
        if draws is None:
            noise = torch.randn_like(mean)
        elif draws.shape != (len(mean), self.draw_size):
            raise ValueError(f"draws must have shape {(len(mean), self.draw_size)}; got {draws.shape}")
        else:
            uniform = torch.from_numpy(draws).double().clamp(1e-6, 1 - 1e-6)  # the ends are infinitely far away
            noise = torch.special.ndtri(uniform).to(mean).view_as(mean)
        raw = mean + std * noise
        log_probs = gaussian_log_prob(raw, mean, std)
        return PolicyOutput(self.in_units(raw), {"raw": raw.cpu().numpy()}, log_probs.cpu().numpy())

    def auxiliary_loss(
        self,
        estimate: torch.Tensor,
        target_position: torch.Tensor,
        weights: torch.Tensor,
        config: SftLossConfig,
    ) -> tuple[torch.Tensor | float, float | None]:
        """As `place_loss`, of the second output of `forward`; 0 and None without cameras, which alone can look."""
        if not self._spec.cameras:
            return 0.0, None
        return place_loss(estimate, target_position, weights, config)

    def log_prob(self, inputs: PolicyInputs, drawn: Mapping[str, torch.Tensor], temperature: float) -> LogProb:
        """Log-density of the samples drawn["raw"] (B, H, A) and its entropy in nats, both (B, H, A), with gradient."""
        mean = self(inputs)[0]
        std = self.std(temperature).expand_as(mean)
        return LogProb(gaussian_log_prob(drawn["raw"], mean, std), gaussian_entropy(std))
