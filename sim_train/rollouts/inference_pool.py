"""The inference processes of one machine, replaced when they end."""

from __future__ import annotations

import secrets
import shutil
import tempfile
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path

from sim_train.rollouts.calls import MAX_RESTARTS, WorkerFailureError
from sim_train.rollouts.inference_server import Address, serve_inference
from sim_train.rollouts.weights import Weights


@dataclass
class _Server:
    process: BaseProcess
    control: Connection
    ready: bool = False
    falls: int = 0
    """Times that it ended since the weights changed."""


class InferencePool:
    """Processes that infer for the rollout workers; worker i asks process i modulo their number.

    Args:
        context: starts processes.
        workers: processes.
        device: "cpu" or "cuda".
        rows: of each batch; see `inference.answer`.
    """

    def __init__(self, context: ForkServerContext, workers: int, device: str, rows: int) -> None:
        self._context = context
        self._device = device
        self._rows = rows
        self._folder = Path(tempfile.mkdtemp(prefix="armature-"))  # short: a socket's path has at most 107 characters
        self._key = secrets.token_bytes(32)
        self._weights: Weights | None = None
        self.number = 0
        """Of the present weights."""
        self._servers = [self._start(i) for i in range(workers)]

    def address(self, worker: int) -> Address:
        """Where a rollout worker asks."""
        return Address(str(self._folder / str(worker % len(self._servers))), self._key)

    def set_weights(self, weights: Weights) -> None:
        """Answer with these from now on."""
        self._weights = weights
        self.number += 1
        for server in self._servers:
            server.falls = 0
            if server.ready:
                self._tell(server)

    @property
    def ready(self) -> bool:
        """Whether no process is just starting."""
        return all(server.ready for server in self._servers)

    @property
    def process_ids(self) -> list[int]:
        """Process ids."""
        return [server.process.pid or 0 for server in self._servers]

    def tend(self) -> int:
        """Replace processes that ended, and give weights to those that are new; returns how many were replaced.

        Raises:
            WorkerFailureError: one ends again and again.
        """
        replaced = 0
        for i, server in enumerate(self._servers):
            if not server.process.is_alive():
                self.replace(i)
                replaced += 1
            elif not server.ready and server.control.poll():
                server.control.recv()
                server.ready = True
                self._tell(server)
        return replaced

    def replace(self, worker: int) -> None:
        """Start the process anew that this rollout worker asks."""
        index = worker % len(self._servers)
        falls = self._servers[index].falls + 1
        if falls > MAX_RESTARTS:
            raise WorkerFailureError(
                f"inference process {index} ended or hung {falls} times; its own error is printed above. If it ran out "
                "of memory, use fewer worlds (rollout.envs_per_worker) or a smaller rollout.inference_batch"
            )
        self._stop(self._servers[index])
        self._servers[index] = self._start(index)
        self._servers[index].falls = falls

    def close(self) -> None:
        """Stop all processes."""
        for server in self._servers:
            self._stop(server)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _tell(self, server: _Server) -> None:
        if self._weights is not None:
            try:
                server.control.send(("weights", (self._weights, self.number)))
            except OSError:  # it has ended; `tend` will see
                return

    def _start(self, index: int) -> _Server:
        address = Address(str(self._folder / str(index)), self._key)
        Path(address.path).unlink(missing_ok=True)
        ours, theirs = self._context.Pipe()
        process = self._context.Process(
            target=serve_inference, args=(theirs, address, self._device, self._rows), daemon=True, name="inference"
        )
        process.start()
        theirs.close()
        return _Server(process, ours)

    def _stop(self, server: _Server) -> None:
        if server.process.is_alive():
            server.process.kill()
        server.process.join()
        server.control.close()
