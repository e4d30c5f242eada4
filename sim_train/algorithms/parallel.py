"""Data-parallel gradients in threads of one process, one core each.

At this size, splitting every small matrix product over the cores (OpenMP) costs more than it gives, and it collapses
when another process takes one of the cores, because each of thousands of tiny steps then waits for the slowest thread.
Here each thread works through its own share of the rows and they meet once a mini-batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
from typing import TypeVar

import torch

Report = TypeVar("Report")


class GradientThreads:
    """Threads that compute gradients of the same parameters on different rows. Use as a context manager.

    Args:
        threads: how many; one where a GPU does the work.
        micro_batch: most rows of one forward and backward pass; 0: all of a thread's share.
        bf16_on: kind of device, "cpu" or "cuda", on which forward passes run in bfloat16 where that is safe; empty:
            each policy computes as it is.
    """

    def __init__(self, threads: int, micro_batch: int = 0, bf16_on: str = "") -> None:
        if threads < 1:
            raise ValueError(f"at least one thread must compute gradients; got {threads}")
        self.threads = threads
        self.micro_batch = micro_batch
        self.bf16_on = bf16_on
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

    def pieces(self, share: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """A share, cut into micro-batches."""
        return share.split(self.micro_batch) if self.micro_batch else (share,)

    def precision(self) -> AbstractContextManager[object]:
        """What forward passes run under."""
        return torch.autocast(self.bf16_on, torch.bfloat16) if self.bf16_on else nullcontext()

    def map(self, function: Callable[[torch.Tensor], Report], rows: int) -> list[Report]:
        """`function` of each share (or micro-batch) of the rows, without gradients, in order."""

        def quiet(share: torch.Tensor) -> list[Report]:
            with torch.no_grad(), self.precision():
                return [function(piece) for piece in self.pieces(share)]

        return [result for results in self._pool.map(quiet, self.shares(rows)) for result in results]

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
            The shares' (or micro-batches') reports, in order.
        """

        def one(share: torch.Tensor) -> tuple[list[torch.Tensor | None], list[Report]]:
            total: list[torch.Tensor | None] = [None] * len(parameters)
            reports = []
            for piece in self.pieces(share):
                with self.precision():
                    value, report = loss(piece)
                gradients = torch.autograd.grad(value, parameters, allow_unused=True)
                total = [_sum(known, fresh) for known, fresh in zip(total, gradients, strict=True)]
                reports.append(report)
            return total, reports

        results = list(self._pool.map(one, self.shares(rows)))
        for i, parameter in enumerate(parameters):
            parts = [gradients[i] for gradients, _ in results]
            known = [part for part in parts if part is not None]
            parameter.grad = torch.stack(known).sum(0) if known else None
        return [report for _, reports in results for report in reports]


def _sum(first: torch.Tensor | None, second: torch.Tensor | None) -> torch.Tensor | None:
    if first is None or second is None:
        return second if first is None else first
    return first + second
