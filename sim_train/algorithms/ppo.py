"""Proximal policy optimisation (arXiv 1707.06347) with a critic on the policy's trunk.

Unlike a comparison within groups, a critic tells good chunks of an episode from bad ones, and learns from every
episode, also where all members of a group succeed or fail. The policy loss is the one of `grpo`.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from sim_train.algorithms.anchor import Anchor
from sim_train.algorithms.critic import Critic, TrunkTap, action_head
from sim_train.algorithms.gae import gae, normalised
from sim_train.algorithms.grpo import LossReport
from sim_train.algorithms.parallel import GradientThreads
from sim_train.algorithms.updater import MiniBatch, UpdateConfig, Updater, UpdateReport
from sim_train.policies.kinds import StoredPolicy
from sim_train.rollouts.trajectories import Trajectories

_ROWS_AT_ONCE = 512  # observations of a pass without gradients


@dataclass(frozen=True)
class PpoConfig:
    """Settings of the critic."""

    discount: float = 0.99
    """Gamma, a chunk."""
    trace: float = 0.95
    """Lambda of GAE, a chunk."""
    value_weight: float = 0.5
    """Of the value loss beside the policy loss."""
    value_clip: float = 0.2
    """A value may move this far in one update before the loss holds it."""
    learning_rate: float = 3e-3
    """Of the value head (AdamW)."""
    hidden: int = 128
    """Width of the value head's hidden layer."""


@dataclass(frozen=True)
class PpoReport(UpdateReport):
    """The update, and how good the critic was before it."""

    value_mean: float = float("nan")
    """Mean value."""
    value_error: float = float("nan")
    """Root mean square of return - value."""
    explained_variance: float = float("nan")
    """1 - var(return - value) / var(return): 1 is perfect, 0 as good as a constant; NaN if all returns are equal."""


def value_loss(values: torch.Tensor, old: torch.Tensor, returns: torch.Tensor, clip: float) -> torch.Tensor:
    """Half the squared error (B,), not lower than that of the value held within `clip` of the old one; all are (B,)."""
    held = old + (values - old).clamp(-clip, clip)
    return 0.5 * torch.maximum((values - returns) ** 2, (held - returns) ** 2)


class PpoUpdater(Updater):
    """An updater with a critic. The value head and its moments are part of the training state, not of the policy.

    Args:
        policy: the learner.
        config: of the policy's part.
        ppo: of the critic's part.
        threads: compute the gradients.
        seed: of the value head's weights.
        anchor: see `Updater`.

    Raises:
        NoTrunkError: the policy has no trunk that a critic can read.
    """

    def __init__(
        self,
        policy: StoredPolicy,
        config: UpdateConfig,
        ppo: PpoConfig,
        threads: GradientThreads,
        seed: int,
        anchor: Anchor | None = None,
    ) -> None:
        super().__init__(policy, config, threads, anchor)
        self.ppo = ppo
        head, width = action_head(policy)
        self.critic = Critic(width, ppo.hidden, seed).to(self.parameters[0].device)
        self.tap = TrunkTap(head)
        self.parameters += list(self.critic.parameters())
        self.optimizer.add_param_group({"params": list(self.critic.parameters()), "lr": ppo.learning_rate})
        self.rates.append(ppo.learning_rate)

    def values(self, played: Trajectories) -> NDArray[np.float32]:
        """(C,) value of each chunk's observation."""
        texts = [played.instructions[i] for i in played.trajectory]
        inputs = self.policy.inputs(played.images, played.state, texts)

        def look(rows: torch.Tensor) -> torch.Tensor:
            self.policy(inputs[rows + start])
            return self.critic(self.tap.take()).cpu()

        parts: list[torch.Tensor] = []
        for start in range(0, len(texts), _ROWS_AT_ONCE):
            parts += self.threads.map(look, min(_ROWS_AT_ONCE, len(texts) - start))
        return torch.cat(parts).numpy()

    def improve(self, played: Trajectories, version: int, rng: np.random.Generator) -> PpoReport:
        """One update from N trajectories; see `Updater.update`."""
        values = self.values(played)
        advantages, returns = gae(values, played.length, played.success, self.ppo.discount, self.ppo.trace)
        old_values, wanted = torch.from_numpy(values), torch.from_numpy(returns)

        def loss(batch: MiniBatch, old: torch.Tensor, rows: torch.Tensor) -> tuple[torch.Tensor, LossReport]:
            policy_part, report = self.policy_loss(batch, old, rows)
            now, chunks = self.critic(self.tap.take()).cpu(), batch.rows[rows]
            errors = value_loss(now, old_values[chunks], wanted[chunks], self.ppo.value_clip)
            return policy_part + self.ppo.value_weight * errors.sum() / len(batch.rows), report

        scaled = normalised(advantages, played.executed_steps > 0)
        report = self.learn(played, scaled, version, rng, loss)
        error, spread = returns - values, float(returns.var())
        return PpoReport(
            **dataclasses.asdict(report),
            value_mean=float(values.mean()),
            value_error=float(np.sqrt((error**2).mean())),
            explained_variance=1.0 - float(error.var()) / spread if spread > 0 else float("nan"),
        )
