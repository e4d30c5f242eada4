"""Data-parallel gradients in threads of one process, one core each.

At this size, splitting every small matrix product over the cores (OpenMP) costs more than it gives, and it collapses
when another process takes one of the cores, because each of thousands of tiny steps then waits for the slowest thread.
Here each thread works through its own share of the rows and they meet once a mini-batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import TypeVar

import torch

Report = TypeVar("Report")


class GradientThreads:
    """Threads that compute gradients of the same parameters on different rows. Use as a context manager."""

    def __init__(self, threads: int) -> None:
        if threads < 1:
            raise ValueError(f"at least one thread must compute gradients; got {threads}")
        self.threads = threads
        self._before = torch.get_num_threads()
        torch.set_num_threads(1)
        self._pool = ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,))

    def __enter__(self) -> GradientThreads:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown()
        torch.set_num_threads(self._before)

    def shares(self, rows: int) -> list[torch.Tensor]:
        """Row indices 0..rows-1, cut into one run for each thread; the cut depends on nothing else."""
        return [share for share in torch.arange(rows).chunk(self.threads) if len(share)]

    def map(self, function: Callable[[torch.Tensor], Report], rows: int) -> list[Report]:
        """`function` of each share of the rows, without gradients, in order."""

        def quiet(share: torch.Tensor) -> Report:
            with torch.no_grad():
                return function(share)

        return list(self._pool.map(quiet, self.shares(rows)))

    def gradient(
        self,
        loss: Callable[[torch.Tensor], tuple[torch.Tensor, Report]],
        parameters: Sequence[torch.nn.Parameter],
        rows: int,
    ) -> list[Report]:
        """Set `.grad` of the parameters to the gradient of the sum of the shares' losses.

        Args:
            loss: row indices of a share -> (its part of the loss, a report).
            parameters: what to differentiate by; one that the loss does not reach gets no gradient.
            rows: rows of the mini-batch.

        Returns:
            The shares' reports, in order.
        """

        def one(share: torch.Tensor) -> tuple[tuple[torch.Tensor | None, ...], Report]:
            value, report = loss(share)
            return torch.autograd.grad(value, parameters, allow_unused=True), report

        results = list(self._pool.map(one, self.shares(rows)))
        for i, parameter in enumerate(parameters):
            parts = [gradients[i] for gradients, _ in results]
            known = [part for part in parts if part is not None]
            parameter.grad = torch.stack(known).sum(0) if known else None
        return [report for _, report in results]
