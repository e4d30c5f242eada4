"""A pool of persistent worker processes that play episodes, and come back after a crash."""

from __future__ import annotations

import json
import multiprocessing
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from types import TracebackType
from typing import Any

from sim_train.policies.blueprint import to_blueprint
from sim_train.policies.token_vla import TokenVla
from sim_train.rollouts.environment import MakeEnvironment
from sim_train.rollouts.episodes import Job
from sim_train.rollouts.trajectories import Trajectories, concatenate
from sim_train.rollouts.worker import Request, Task, Weights, serve, split, weights_of

MAX_RESTARTS = 2
"""Times that one share of the work may bring a worker down."""
STARTUP_S = 300.0
"""Time for a worker to import everything and build its worlds, before its time-out counts."""


class WorkerFailureError(RuntimeError):
    """A share of the work cannot be done."""


@dataclass(frozen=True)
class PlayReport:
    """What one call cost."""

    seconds: float
    """Wall time."""
    faults: int
    """Episodes played again because the simulator failed."""
    restarts: int
    """Workers started again."""


@dataclass
class _Worker:
    process: multiprocessing.process.BaseProcess
    connection: Connection
    heard_s: float
    ready: bool = False
    request: Request | None = None
    restarts: int = 0
    finished: int = 0


class WorkerPool:
    """Workers that live as long as the pool. Use as a context manager.

    Args:
        make_environment: importable function: number of worlds -> environment.
        workers: processes; one a core.
        envs_per_worker: worlds in each.
        timeout_s: a worker that gives no sign of life for so long is killed and started again. One chunk of all its
            worlds must fit in easily.
    """

    def __init__(
        self, make_environment: MakeEnvironment, workers: int, envs_per_worker: int, timeout_s: float = 120.0
    ) -> None:
        if workers < 1 or envs_per_worker < 1 or timeout_s <= 0:
            raise ValueError(
                f"a pool needs at least one worker, one world and a positive time-out; got {workers} workers, "
                f"{envs_per_worker} worlds, {timeout_s} s"
            )
        self._make_environment = make_environment
        self._envs = envs_per_worker
        self._timeout_s = timeout_s
        self._context = multiprocessing.get_context("spawn")
        self._weights: Weights | None = None
        self._workers = [self._start() for _ in range(workers)]

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def set_policy(self, policy: TokenVla, version: int) -> None:
        """Give every worker the policy's present weights; `version` is remembered with each trajectory."""
        self._weights = weights_of(policy, json.dumps(to_blueprint(policy)), version)
        for i, worker in enumerate(self._workers):
            if not _send(worker, ("weights", self._weights)):  # it died since; the new one starts with the weights
                self._workers[i] = self._replace(worker)

    def play(
        self,
        jobs: Sequence[Job],
        task: Task,
        seed: int,
        on_progress: Callable[[int], None] = lambda finished: None,
    ) -> tuple[Trajectories, PlayReport]:
        """Play all jobs; the same arguments and weights give the same trajectories.

        Args:
            jobs: what to play; every `group` is used once.
            task: who plays.
            seed: of everything random in it.
            on_progress: called with the number of finished episodes.

        Raises:
            WorkerFailureError: the simulator refuses an episode, or a share of the work keeps killing its worker.
        """
        if not jobs:
            raise ValueError("nothing to play: no jobs were given")
        started = time.monotonic()
        parts: dict[int, Trajectories] = {}
        faults = 0
        shares = [share for share in split(jobs, len(self._workers)) if share]
        for i, worker in enumerate(self._workers):
            if worker.request is not None:  # still busy with a call that was given up
                self._workers[i] = self._replace(worker)
        for i, share in enumerate(shares):
            self._workers[i].restarts = 0
            self._send(i, Request(share, task, seed * len(self._workers) + i))
        while len(parts) < len(shares):
            busy = [i for i in range(len(shares)) if i not in parts]
            ready = wait([self._workers[i].connection for i in busy], timeout=1.0)
            now = time.monotonic()
            for i in busy:
                worker = self._workers[i]
                if worker.connection in ready:
                    try:
                        kind, content = worker.connection.recv()
                    except (EOFError, OSError):
                        self._restart(i, f"ended with code {_exit_code(worker)}")
                        continue
                    worker.heard_s = now
                    if kind == "ready":
                        worker.ready = True
                    elif kind == "failed":
                        worker.request = None
                        raise WorkerFailureError(str(content))
                    elif kind == "done":
                        parts[i] = Trajectories.from_arrays(content[0])
                        faults += content[1]
                        worker.request = None
                    else:
                        worker.finished = content
                        on_progress(
                            sum(len(part) for part in parts.values())
                            + sum(self._workers[j].finished for j in busy if j not in parts)
                        )
                elif now - worker.heard_s > (self._timeout_s if worker.ready else STARTUP_S):
                    self._restart(i, f"gave no sign of life for {now - worker.heard_s:.0f} s")
        merged = concatenate([parts[i] for i in range(len(shares))])
        order = merged.group.argsort(kind="stable")
        restarts = sum(worker.restarts for worker in self._workers[: len(shares)])
        return merged.select(order), PlayReport(time.monotonic() - started, faults, restarts)

    @property
    def process_ids(self) -> list[int]:
        """Process ids of the workers."""
        return [worker.process.pid or 0 for worker in self._workers]

    def close(self) -> None:
        """Stop all workers."""
        for worker in self._workers:
            if worker.request is None:
                _send(worker, ("stop", None))
        for worker in self._workers:
            worker.process.join(timeout=5.0 if worker.request is None else 0.0)
            self._kill(worker)

    def _start(self) -> _Worker:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(
            target=serve, args=(theirs, self._make_environment, self._envs), daemon=True, name="rollout"
        )
        process.start()
        theirs.close()
        worker = _Worker(process, ours, time.monotonic())
        if self._weights is not None:
            ours.send(("weights", self._weights))
        return worker

    def _send(self, index: int, request: Request) -> None:
        worker = self._workers[index]
        worker.request, worker.finished, worker.heard_s = request, 0, time.monotonic()
        if not _send(worker, ("play", request)):
            self._restart(index, f"ended with code {_exit_code(worker)}")

    def _restart(self, index: int, reason: str) -> None:
        old = self._workers[index]
        if old.restarts >= MAX_RESTARTS or old.request is None:
            raise WorkerFailureError(
                f"rollout worker {index} {reason}, {old.restarts + 1} times on the same work; "
                "its own error is printed above. If it ran out of memory, use fewer worlds (envs_per_worker)"
            )
        self._workers[index] = self._replace(old)
        self._workers[index].restarts = old.restarts + 1
        self._send(index, old.request)

    def _replace(self, old: _Worker) -> _Worker:
        self._kill(old)
        return self._start()

    @staticmethod
    def _kill(worker: _Worker) -> None:
        if worker.process.is_alive():
            worker.process.kill()
        worker.process.join()
        worker.connection.close()


def _send(worker: _Worker, message: tuple[str, Any]) -> bool:
    """Whether the worker was there to take the message."""
    try:
        worker.connection.send(message)
    except OSError:
        return False
    return True


def _exit_code(worker: _Worker) -> int | None:
    worker.process.join(timeout=1.0)
    return worker.process.exitcode
