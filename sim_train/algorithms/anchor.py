"""Keeps reinforcement close to demonstrations: an imitation loss beside the policy loss.

Reinforcement in simulation alone may unlearn what makes a policy work on the real arm. A share of imitation on
demonstrations, recorded on the real arm where there are some, holds it (RL-Co of RLinf used a weight of 0.2).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from policy_api.schema import first_difference

from sim_train.algorithms.grpo import executed_mask
from sim_train.algorithms.parallel import GradientThreads
from sim_train.datasets.demonstrations import DemonstrationSet
from sim_train.datasets.index import DatasetError
from sim_train.policies.imitation import SftLossConfig, SftReport, merge_sft_reports
from sim_train.policies.kinds import StoredPolicy
from sim_train.rollouts.trajectories import Trajectories, concatenate
from sim_train.worlds.tasks import task_names


@dataclass(frozen=True)
class AnchorConfig:
    """How strongly an update is held to demonstrations."""

    weight: float = 0.0
    """Of the imitation loss beside the policy loss; 0: no anchor."""
    batch: int = 64
    """Observations a step."""
    demonstrations: str = ""
    """Directory of the data set; empty: the run's own demonstrations."""


class Anchor:
    """Demonstrations, and the gradient of imitating them.

    Args:
        demonstrations: what to imitate; steps that were not executed are left out.
        config: how strongly.
        loss: of imitation. Its auxiliary part is not used.
    """

    def __init__(self, demonstrations: Trajectories, config: AnchorConfig, loss: SftLossConfig) -> None:
        self.config = config
        self._loss = dataclasses.replace(loss, auxiliary=0.0)
        self._shown = demonstrations
        self._texts = [demonstrations.instructions[i] for i in demonstrations.trajectory]
        steps = torch.from_numpy(demonstrations.executed_steps)
        self._mask = executed_mask(steps, *demonstrations.actions.shape[1:]).contiguous()

    @classmethod
    def load(cls, directory: Path, policy: StoredPolicy, config: AnchorConfig, loss: SftLossConfig) -> Anchor:
        """An anchor at a data set on disk, or at those in the folders of a directory.

        Raises:
            DatasetError: there is none, it is damaged, or it was recorded under another contract than the policy's.
        """
        datasets = DemonstrationSet.open_all(directory)
        for dataset in datasets:
            spec = dataset.spec
            if spec.task in task_names(policy.spec.task):  # one of the policy's tasks is enough
                spec = dataclasses.replace(spec, task=policy.spec.task)
            if difference := first_difference(spec, policy.spec):
                raise DatasetError(
                    f"{dataset.directory} cannot anchor this policy, its contract differs ({difference}); set "
                    "rl.anchor.demonstrations to a data set of the policy's own contract"
                )
        return cls(concatenate([dataset.load() for dataset in datasets]), config, loss)

    def add_gradient(
        self,
        policy: StoredPolicy,
        parameters: Sequence[torch.nn.Parameter],
        threads: GradientThreads,
        rng: np.random.Generator,
    ) -> float:
        """Add the gradient of weight * imitation loss on a random batch to `.grad`; returns that of `SftReport`."""
        rows = rng.integers(len(self._texts), size=self.config.batch)
        index = torch.from_numpy(rows)
        inputs = policy.inputs(
            {name: image[rows] for name, image in self._shown.images.items()},
            self._shown.state[rows],
            [self._texts[i] for i in rows],
        )
        actions = torch.from_numpy(self._shown.actions[rows])
        draws = torch.from_numpy(rng.random((len(rows), policy.imitation_draw_size), dtype=np.float32))
        weights = self._mask[index] / self._mask[index].sum()
        place = torch.from_numpy(self._shown.target_position[rows])

        def loss(share: torch.Tensor) -> tuple[torch.Tensor, SftReport]:
            value, report = policy.imitation_loss(
                inputs[share], actions[share], weights[share], place[share], self._loss, draws[share]
            )
            return self.config.weight * value, report

        before = [parameter.grad for parameter in parameters]
        reports = threads.gradient(loss, parameters, len(rows))
        for parameter, known in zip(parameters, before, strict=True):
            if known is not None:
                parameter.grad = known if parameter.grad is None else parameter.grad + known
        return merge_sft_reports(reports).imitation_loss
