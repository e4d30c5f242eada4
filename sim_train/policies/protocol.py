"""What every policy offers, whatever network is behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from policy_api.schema import PolicySpec

from sim_train.policies.imitation import SftLossConfig, SftReport


@dataclass(frozen=True, eq=False)
class PolicyOutput:
    """One chunk of H steps of A action dimensions for each of B observations."""

    actions: NDArray[np.float32]
    """(B, H, A) in the physical units of the contract."""
    drawn: dict[str, NDArray[np.generic]]
    """What the likelihood is computed from again by `Policy.log_prob`, each array with B rows; may be empty at
    temperature 0."""
    log_probs: NDArray[np.float32]
    """(B, H, A) log-likelihood of what was drawn at the temperature that was used; at temperature 0 that of the answer
    at temperature 1, or zeros where the kind has none."""


@dataclass(frozen=True, eq=False)
class LogProb:
    """Likelihood of what was drawn, under the present weights and with gradient."""

    log_probs: torch.Tensor
    """(B, H, A) of each number of the chunk."""
    entropy: torch.Tensor
    """(B, H, A) nats."""


@dataclass(frozen=True, eq=False)
class PolicyInputs:
    """What the network sees, as tensors."""

    images: dict[str, torch.Tensor]
    """(B, S, S, 3) uint8 for each camera of the contract."""
    state: torch.Tensor
    """(B, S) float32 in the contract's units."""
    text: torch.Tensor
    """(B, T) int64 token ids of the instructions."""

    def __getitem__(self, rows: torch.Tensor) -> PolicyInputs:
        """The given rows of every tensor."""
        return PolicyInputs(
            images={name: image[rows] for name, image in self.images.items()},
            state=self.state[rows],
            text=self.text[rows],
        )


class Policy(Protocol):
    """A policy: observations in, chunks of actions out.

    All randomness comes in as uniform numbers, so that a chunk depends on its own row alone, whoever computes it.
    """

    @property
    def spec(self) -> PolicySpec:
        """The contract that it was made for."""

    @property
    def revision(self) -> str:
        """Content hash of its weights; empty while it has never been saved."""

    @property
    def ratio(self) -> Literal["token", "chunk"]:
        """Whether reinforcement compares likelihoods number by number, or of what was executed of a chunk at once."""

    @property
    def draw_size(self) -> int:
        """Uniform numbers that one sampled chunk needs."""

    @property
    def imitation_draw_size(self) -> int:
        """Uniform numbers that `imitation_loss` needs for one observation; 0 for most kinds."""

    def normalise_state_by(self, state: NDArray[np.float32]) -> None:
        """Fit whatever normalises proprioception to (N, S) recorded states."""

    def act(
        self,
        images: Mapping[str, NDArray[np.uint8]],
        state: NDArray[np.float32],
        instructions: Sequence[str],
        temperature: float = 0.0,
        draws: NDArray[np.float32] | None = None,
    ) -> PolicyOutput:
        """Choose one chunk for each of B observations.

        Args:
            images: (B, S, S, 3) uint8 for each camera of the contract, S its `input_size`.
            state: (B, S) float32.
            instructions: B texts.
            temperature: 0 gives the one greedy answer; otherwise the policy explores.
            draws: (B, draw_size) numbers in [0, 1) that decide what is sampled; None: drawn by torch.

        Raises:
            ValueError: observations that do not fit the contract, or a temperature that the kind does not know.
        """

    def inputs(
        self,
        images: Mapping[str, NDArray[np.uint8]],
        state: NDArray[np.float32],
        instructions: Sequence[str],
    ) -> PolicyInputs:
        """Check observations against the contract and turn them into tensors; raises ValueError."""

    def log_prob(self, inputs: PolicyInputs, drawn: Mapping[str, torch.Tensor], temperature: float) -> LogProb:
        """Likelihood of what `act` drew (the arrays of `PolicyOutput.drawn`, as tensors), with gradient."""

    def imitation_loss(
        self,
        inputs: PolicyInputs,
        actions: torch.Tensor,
        weights: torch.Tensor,
        target_position: torch.Tensor,
        config: SftLossConfig,
        draws: torch.Tensor,
    ) -> tuple[torch.Tensor, SftReport]:
        """What imitation minimises, for one share of a mini-batch.

        Args:
            inputs: B observations.
            actions: (B, H, A) the expert's, in physical units.
            weights: (B, H, A); over the whole mini-batch they sum to 1. Zero where a step was not executed.
            target_position: (B, 3) where the named object is, metres in the base frame.
            config: weights of the parts.
            draws: (B, imitation_draw_size) float32 in [0, 1).

        Returns:
            The share's part of the loss, with gradient, and of the report.
        """
