"""One reinforcement-learning update: trajectories with advantages in, better weights out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray

from sim_train.algorithms.anchor import Anchor
from sim_train.algorithms.average import WeightAverage
from sim_train.algorithms.decoupled import DecoupledConfig, behaviour_weights
from sim_train.algorithms.grpo import (
    ClipConfig,
    LossReport,
    executed_mask,
    grpo_loss,
    merge_reports,
)
from sim_train.algorithms.items import item_weights, mean_per_item, per_item
from sim_train.algorithms.parallel import GradientThreads
from sim_train.policies.kinds import StoredPolicy
from sim_train.policies.protocol import LogProb, PolicyInputs
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
    ema_decay: float = 0.98
    """Of the moving average of the weights, an optimiser step. The average is what is validated, kept and saved;
    rollouts play the present weights. 0: there is none."""
    epochs: int = 2
    """Passes over the trajectories."""
    minibatches: int = 4
    """Optimiser steps a pass."""
    temperature: float = 1.0
    """Of both log-probabilities; must be the one that the rollouts sampled at."""
    constant_chunks: int = 0
    """0: the loss is the mean over each trajectory's ratios. Else each trajectory's sum is divided by the ratios of
    this many chunks (the task's limit), so that one weighs the same in a short and in a long episode."""
    max_skipped: int = 8
    """Optimiser steps in a row that may be skipped because of a gradient that is not finite."""
    entropy: float = 0.0
    """Weight of the mean entropy of an executed number, as a bonus. 0.005 suits flows with learned noise."""
    clip: ClipConfig = field(default_factory=ClipConfig)
    """The trust region."""
    decoupled: DecoupledConfig = field(default_factory=DecoupledConfig)
    """What trajectories of older weights count."""


@dataclass(frozen=True)
class UpdateReport:
    """Means over the mini-batches of one update, unless said otherwise."""

    entropy: float
    """Of a number of the chunk before the update, nats."""
    rollout_gap: float
    """Largest |log-likelihood in the trainer - in the rollout| of a ratio (see `Policy.ratio`) among fresh
    trajectories, before the update."""
    first_ratio_error: float
    """Largest |r - 1| in the first mini-batch, before any step; must be about 0 when all trajectories are fresh."""
    max_ratio_error: float
    """Largest |r - 1| in the last pass."""
    clip_low: float
    """Share of ratios held by the lower clip."""
    clip_high: float
    """Share of ratios held by the upper clip."""
    approx_kl: float
    """KL(old || new) estimate."""
    grad_norm: float
    """Norm of the gradient before clipping, over the steps that were taken; NaN if there was none."""
    skipped_steps: int
    """Optimiser steps that were not taken, because the gradient was not finite."""
    behaviour_weight: float | None = None
    """Mean weight of ratios of trajectories that older weights played, see `decoupled`; None if there were none."""
    anchor_loss: float | None = None
    """Imitation loss of the anchor, see `SftReport`; None without an anchor."""


class DivergedError(RuntimeError):
    """Gradients are not finite any more."""


@dataclass(frozen=True, eq=False)
class MiniBatch:
    """Whole trajectories with C chunks, as tensors. (C, *I) has an entry for each item of `items`."""

    rows: torch.Tensor
    """(C,) index of each chunk among those of the update."""
    inputs: PolicyInputs
    drawn: dict[str, torch.Tensor]
    """C rows each, as in `Trajectories.drawn`."""
    rollout_log_probs: torch.Tensor
    """(C, *I)."""
    fresh: torch.Tensor
    """(C,) whether the present weights played it."""
    advantages: torch.Tensor
    """(C,)."""
    mask: torch.Tensor
    """(C, H, A), 1 where a step was executed."""
    weights: torch.Tensor
    """(C, *I) share of each item in the loss."""
    behaviour: torch.Tensor
    """(C, *I) what an item counts because of the weights that played it; 1 where they are the present ones."""


BatchLoss = Callable[[MiniBatch, torch.Tensor, torch.Tensor], tuple[torch.Tensor, LossReport]]
"""Mini-batch, old log-probabilities (C, *I), rows of a share -> the share's part of the loss, and a report."""


class Updater:
    """Owns the optimiser of a policy. Weights and optimiser state are float32.

    Args:
        policy: the learner.
        config: how.
        threads: compute the gradients.
        anchor: demonstrations to stay close to; None: none.
    """

    def __init__(
        self, policy: StoredPolicy, config: UpdateConfig, threads: GradientThreads, anchor: Anchor | None = None
    ) -> None:
        self.policy = policy
        self.config = config
        self.threads = threads
        self.anchor = anchor
        self.parameters = [parameter for parameter in policy.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.AdamW(self.parameters, lr=config.learning_rate, weight_decay=config.weight_decay)
        self.rates = [config.learning_rate]  # of the optimiser's groups, when warm
        self.steps = 0
        self.skipped_in_a_row = 0
        self.average = WeightAverage(self.parameters, config.ema_decay)

    def update(
        self, played: Trajectories, advantages: NDArray[np.float32], version: int, rng: np.random.Generator
    ) -> UpdateReport:
        """Improve the policy.

        The ratio is taken against log-probabilities that the trainer recomputes with the present weights, so that it is
        exactly 1 before the first step whatever the rollout's arithmetic; trajectories that older weights played
        (`version` differs) are weighted for it, see `decoupled`.

        Args:
            played: N trajectories.
            advantages: (N,) one a trajectory.
            version: of the present weights.
            rng: shuffles trajectories into mini-batches, and draws demonstrations for the anchor.

        Raises:
            DivergedError: gradients were not finite for more than `max_skipped` steps in a row.
        """
        return self.learn(played, advantages[played.trajectory], version, rng, self.policy_loss)

    def learn(
        self,
        played: Trajectories,
        advantages: NDArray[np.float32],
        version: int,
        rng: np.random.Generator,
        loss: BatchLoss,
    ) -> UpdateReport:
        """As `update`, with (C,) advantages, one a chunk, and any loss."""
        order = rng.permutation(len(played))
        parts = [part for part in np.array_split(order, self.config.minibatches) if len(part)]
        batches = [self._minibatch(played, part, advantages, version) for part in parts]
        old, entropies, gaps = [], [], []
        for i, batch in enumerate(batches):
            log_probs, entropy, gap = self._look_back(batch)
            weight = behaviour_weights(log_probs, batch.rollout_log_probs, batch.fresh, self.config.decoupled)
            batches[i] = replace(batch, behaviour=weight)
            old.append(log_probs)
            entropies.append(entropy)
            gaps.append(gap)

        reports: list[LossReport] = []
        norms: list[float] = []
        anchored: list[float] = []
        skipped = 0
        for _ in range(self.config.epochs):
            for i in rng.permutation(len(batches)) if reports else range(len(batches)):
                report = self._differentiate(batches[i], old[i], loss)
                reports.append(report)
                if self.anchor:
                    anchored.append(self.anchor.add_gradient(self.policy, self.parameters, self.threads, rng))
                norm = float(torch.nn.utils.clip_grad_norm_(self.parameters, self.config.grad_clip))
                if np.isfinite(norm):
                    norms.append(norm)
                    self._step()
                else:
                    skipped += 1
                    self._skip()
        return UpdateReport(
            entropy=float(np.mean(entropies)),
            rollout_gap=max(gaps),
            first_ratio_error=reports[0].max_ratio_error,
            max_ratio_error=max(r.max_ratio_error for r in reports[-len(batches) :]),
            clip_low=float(np.mean([r.clip_low for r in reports])),
            clip_high=float(np.mean([r.clip_high for r in reports])),
            approx_kl=float(np.mean([r.approx_kl for r in reports])),
            grad_norm=float(np.mean(norms)) if norms else float("nan"),
            skipped_steps=skipped,
            behaviour_weight=_mean_behaviour_weight(batches),
            anchor_loss=float(np.mean(anchored)) if anchored else None,
        )

    def policy_loss(self, batch: MiniBatch, old: torch.Tensor, rows: torch.Tensor) -> tuple[torch.Tensor, LossReport]:
        """The clipped policy loss of some rows of a mini-batch: a `BatchLoss`."""
        now = self._likelihood(batch, rows)
        log_probs = per_item(now.log_probs, batch.mask[rows], self.policy.ratio)
        weights = batch.weights[rows]
        behaved = weights * batch.behaviour[rows]
        loss, report = grpo_loss(log_probs, old[rows], batch.advantages[rows], behaved, self.config.clip)
        if self.config.entropy:
            entropy = mean_per_item(now.entropy, batch.mask[rows], self.policy.ratio)
            loss = loss - self.config.entropy * (entropy * weights).sum()
        return loss, report

    def _likelihood(self, batch: MiniBatch, rows: torch.Tensor) -> LogProb:
        drawn = {name: tensor[rows] for name, tensor in batch.drawn.items()}
        now = self.policy.log_prob(batch.inputs[rows], drawn, self.config.temperature)
        return LogProb(now.log_probs.cpu(), now.entropy.cpu())  # a few numbers: the loss is computed where the rest is

    def _look_back(self, batch: MiniBatch) -> tuple[torch.Tensor, float, float]:
        """Log-probabilities to take the ratio against, mean entropy, largest gap to the rollout."""

        def look(rows: torch.Tensor) -> tuple[torch.Tensor, float, float]:
            now = self._likelihood(batch, rows)
            log_probs = per_item(now.log_probs, batch.mask[rows], self.policy.ratio)
            entropy = mean_per_item(now.entropy, batch.mask[rows], self.policy.ratio)
            fresh, weights = batch.fresh[rows][:, None, None], batch.weights[rows]
            gap = (log_probs - batch.rollout_log_probs[rows]).abs() * (weights > 0) * fresh
            return log_probs, float((entropy * weights).sum()), float(gap.max())

        parts = self.threads.map(look, len(batch.rows))
        return torch.cat([part[0] for part in parts]), sum(p[1] for p in parts), max(p[2] for p in parts)

    def _differentiate(self, batch: MiniBatch, old: torch.Tensor, loss: BatchLoss) -> LossReport:
        return merge_reports(
            self.threads.gradient(lambda rows: loss(batch, old, rows), self.parameters, len(batch.rows))
        )

    def _step(self) -> None:
        self.skipped_in_a_row = 0
        self.steps += 1
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * min(1.0, self.steps / max(self.config.warmup_steps, 1))
        self.optimizer.step()
        self.average.follow(self.steps)

    def _skip(self) -> None:
        self.skipped_in_a_row += 1
        if self.skipped_in_a_row > self.config.max_skipped:
            raise DivergedError(
                f"the gradient was not finite for {self.skipped_in_a_row} optimiser steps in a row (at most "
                f"{self.config.max_skipped} may be skipped): training has diverged. Start again from the last good "
                "checkpoint with a lower learning rate (rl.update.learning_rate)"
            )

    def _minibatch(
        self, whole: Trajectories, part: NDArray[np.int64], advantages: NDArray[np.float32], version: int
    ) -> MiniBatch:
        played = whole.select(part)
        trajectory = played.trajectory
        ends = np.cumsum(whole.length)
        rows = np.concatenate([np.arange(ends[i] - whole.length[i], ends[i]) for i in part])
        instructions = [played.instructions[i] for i in trajectory]
        mask = executed_mask(torch.from_numpy(played.executed_steps), *played.actions.shape[1:])
        weights = item_weights(
            mask, self.policy.ratio, torch.from_numpy(trajectory), len(played), self.config.constant_chunks
        )
        return MiniBatch(
            rows=torch.from_numpy(rows),
            inputs=self.policy.inputs(played.images, played.state, instructions),
            drawn={name: torch.from_numpy(array) for name, array in played.drawn.items()},
            rollout_log_probs=per_item(torch.from_numpy(played.log_probs), mask, self.policy.ratio),
            fresh=torch.from_numpy(played.version[trajectory] == version),
            advantages=torch.from_numpy(advantages[rows]),
            mask=mask,
            weights=weights,
            behaviour=torch.ones_like(weights),
        )


def _mean_behaviour_weight(batches: Sequence[MiniBatch]) -> float | None:
    stale = [b.behaviour[~b.fresh][b.weights[~b.fresh] > 0] for b in batches]
    weights = torch.cat(stale)
    return float(weights.mean()) if len(weights) else None
