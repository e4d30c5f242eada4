"""One reinforcement-learning update: trajectories with advantages in, better weights out."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from sim_train.algorithms.grpo import (
    ClipConfig,
    LossReport,
    executed_mask,
    grpo_loss,
    merge_reports,
    token_weights,
)
from sim_train.algorithms.parallel import GradientThreads
from sim_train.policies.protocol import PolicyInputs
from sim_train.policies.token_vla import TokenVla
from sim_train.rollouts.trajectories import Trajectories


@dataclass(frozen=True)
class UpdateConfig:
    """How an update goes about it."""

    learning_rate: float = 8e-4
    """AdamW. Some 1e-3 suits a quarter of a million weights; a full-size model wants 5e-6."""
    warmup_steps: int = 16
    """Optimiser steps over which the learning rate rises: Adam's first steps have no scale to go by."""
    weight_decay: float = 0.01
    """AdamW."""
    grad_clip: float = 1.0
    """Largest norm of the gradient."""
    epochs: int = 2
    """Passes over the trajectories."""
    minibatches: int = 4
    """Optimiser steps a pass."""
    temperature: float = 1.0
    """Of both log-probabilities; must be the one that the rollouts sampled at."""
    clip: ClipConfig = field(default_factory=ClipConfig)
    """The trust region."""


@dataclass(frozen=True)
class UpdateReport:
    """Means over the mini-batches of one update, unless said otherwise."""

    entropy: float
    """Of a token before the update, nats."""
    rollout_gap: float
    """Largest |log-probability in the trainer - in the rollout| among fresh trajectories, before the update."""
    first_ratio_error: float
    """Largest |r - 1| in the first mini-batch, before any step; must be about 0 when all trajectories are fresh."""
    max_ratio_error: float
    """Largest |r - 1| in the last pass."""
    clip_low: float
    """Share of tokens held by the lower clip."""
    clip_high: float
    """Share of tokens held by the upper clip."""
    approx_kl: float
    """KL(old || new) estimate."""
    grad_norm: float
    """Norm of the gradient before clipping."""


@dataclass(frozen=True)
class _MiniBatch:
    inputs: PolicyInputs
    tokens: torch.Tensor
    rollout_log_probs: torch.Tensor
    fresh: torch.Tensor
    advantages: torch.Tensor
    mask: torch.Tensor
    weights: torch.Tensor


class Updater:
    """Owns the optimiser of a policy. Weights and optimiser state are float32."""

    def __init__(self, policy: TokenVla, config: UpdateConfig, threads: GradientThreads) -> None:
        self.policy = policy
        self.config = config
        self.threads = threads
        self.parameters = list(policy.parameters())
        self.optimizer = torch.optim.AdamW(self.parameters, lr=config.learning_rate, weight_decay=config.weight_decay)
        self.steps = 0

    def update(
        self, played: Trajectories, advantages: NDArray[np.float32], version: int, rng: np.random.Generator
    ) -> UpdateReport:
        """Improve the policy.

        The ratio is taken against log-probabilities that the trainer recomputes for trajectories of the present
        weights, so that it is exactly 1 before the first step whatever the rollout's arithmetic; trajectories of older
        weights (`version` differs) keep the log-probabilities of the policy that played them.

        Args:
            played: N trajectories.
            advantages: (N,) one a trajectory.
            version: of the present weights.
            rng: shuffles trajectories into mini-batches.
        """
        order = rng.permutation(len(played))
        parts = [part for part in np.array_split(order, self.config.minibatches) if len(part)]
        batches = [self._minibatch(played.select(part), advantages[part], version) for part in parts]
        old, entropies, gaps = [], [], []
        for batch in batches:
            log_probs, entropy, gap = self._look_back(batch)
            old.append(log_probs)
            entropies.append(entropy)
            gaps.append(gap)

        reports: list[LossReport] = []
        norms: list[float] = []
        for _ in range(self.config.epochs):
            for i in rng.permutation(len(batches)) if reports else range(len(batches)):
                report, norm = self._step(batches[i], old[i])
                reports.append(report)
                norms.append(norm)
        return UpdateReport(
            entropy=float(np.mean(entropies)),
            rollout_gap=max(gaps),
            first_ratio_error=reports[0].max_ratio_error,
            max_ratio_error=max(r.max_ratio_error for r in reports[-len(batches) :]),
            clip_low=float(np.mean([r.clip_low for r in reports])),
            clip_high=float(np.mean([r.clip_high for r in reports])),
            approx_kl=float(np.mean([r.approx_kl for r in reports])),
            grad_norm=float(np.mean(norms)),
        )

    def _look_back(self, batch: _MiniBatch) -> tuple[torch.Tensor, float, float]:
        """Log-probabilities to take the ratio against, mean entropy, largest gap to the rollout."""

        def look(rows: torch.Tensor) -> tuple[torch.Tensor, float, float]:
            distribution = self.policy.distribution(batch.inputs[rows], self.config.temperature)
            now = distribution.gather(-1, batch.tokens[rows][..., None]).squeeze(-1)
            entropy = -(distribution.exp() * distribution).sum(-1)
            fresh = batch.fresh[rows][:, None, None]
            gap = (now - batch.rollout_log_probs[rows]).abs() * batch.mask[rows] * fresh
            old = torch.where(fresh, now, batch.rollout_log_probs[rows])
            return old, float((entropy * batch.weights[rows]).sum()), float(gap.max())

        parts = self.threads.map(look, len(batch.tokens))
        return torch.cat([part[0] for part in parts]), sum(p[1] for p in parts), max(p[2] for p in parts)

    def _step(self, batch: _MiniBatch, old: torch.Tensor) -> tuple[LossReport, float]:
        def loss(rows: torch.Tensor) -> tuple[torch.Tensor, LossReport]:
            log_probs = self.policy.log_prob(batch.inputs[rows], batch.tokens[rows], self.config.temperature)
            return grpo_loss(log_probs, old[rows], batch.advantages[rows], batch.weights[rows], self.config.clip)

        reports = self.threads.gradient(loss, self.parameters, len(batch.tokens))
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, self.config.grad_clip)
        self.steps += 1
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.learning_rate * min(1.0, self.steps / max(self.config.warmup_steps, 1))
        self.optimizer.step()
        return merge_reports(reports), float(norm)

    def _minibatch(self, played: Trajectories, advantages: NDArray[np.float32], version: int) -> _MiniBatch:
        trajectory = played.trajectory
        instructions = [played.instructions[i] for i in trajectory]
        horizon, dims = played.tokens.shape[1:]
        mask = executed_mask(torch.from_numpy(played.executed_steps), horizon, dims)
        return _MiniBatch(
            inputs=self.policy.inputs(played.images, played.state, instructions),
            tokens=torch.from_numpy(played.tokens),
            rollout_log_probs=torch.from_numpy(played.log_probs),
            fresh=torch.from_numpy(played.version[trajectory] == version),
            advantages=torch.from_numpy(advantages[trajectory]),
            mask=mask,
            weights=token_weights(mask, torch.from_numpy(trajectory), len(played)),
        )
