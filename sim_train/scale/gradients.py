"""Gradients of a policy in shards: every process does its part of each mini-batch, in step with the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
from torch import distributed

from sim_train.algorithms.parallel import GradientThreads

Report = TypeVar("Report")


class ShardedGradients(GradientThreads):
    """As `GradientThreads`, with processes in place of threads: all of them must make the same calls.

    Each forward and backward pass needs all processes, so each does as many as the one with the most rows; one that has
    no rows left repeats its first one with weight 0.

    Args:
        micro_batch: most rows of one forward and backward pass in one process; 0: all of its share.
        bf16_on: see `GradientThreads`.
    """

    def __init__(self, micro_batch: int = 0, bf16_on: str = "") -> None:
        super().__init__(1, micro_batch, bf16_on)
        self.rank, self.processes = distributed.get_rank(), distributed.get_world_size()

    def map(self, function: Callable[[torch.Tensor], Report], rows: int) -> list[Report]:
        """`function` of each piece of the rows, without gradients; every process gets the results of all, in order."""
        results = []
        with torch.no_grad():
            for piece, counts in self._turns(rows):
                with self.precision():
                    result = function(piece)
                if counts:
                    results.append(_on_cpu(result))
        return self._of_all(results)

    def gradient(
        self,
        loss: Callable[[torch.Tensor], tuple[torch.Tensor, Report]],
        parameters: Sequence[torch.nn.Parameter],
        rows: int,
    ) -> list[Report]:
        """Set `.grad` of this process's shards to the gradient of the sum over all pieces; see `GradientThreads`."""
        for parameter in parameters:
            parameter.grad = None
        reports = []
        for piece, counts in self._turns(rows):
            with self.precision():
                value, report = loss(piece)
            # shards average over the processes, but the loss is a sum
            (value * (self.processes if counts else 0)).backward()
            if counts:
                reports.append(report)
        return self._of_all(reports)

    def _turns(self, rows: int) -> list[tuple[torch.Tensor, bool]]:
        """This process's pieces, and whether each counts."""
        shares = torch.arange(rows).tensor_split(self.processes)
        most = len(self.pieces(shares[0]))  # the first share is the largest
        mine = [piece for piece in self.pieces(shares[self.rank]) if len(piece)]
        idle = (torch.zeros(1, dtype=torch.int64), False)
        return [(piece, True) for piece in mine] + [idle] * (most - len(mine))

    def _of_all(self, results: list[Report]) -> list[Report]:
        gathered: list[list[Report]] = [[] for _ in range(self.processes)]
        distributed.all_gather_object(gathered, results)
        return [result for results in gathered for result in results]


def _on_cpu(result: Any) -> Any:  # noqa: ANN401 - whatever was computed
    if isinstance(result, torch.Tensor):
        return result.cpu()
    return tuple(_on_cpu(part) for part in result) if isinstance(result, tuple) else result
