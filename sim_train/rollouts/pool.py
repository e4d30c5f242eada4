"""A pool of persistent worker processes that play episodes, and come back after a crash or a hang."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext
from types import TracebackType
from typing import Any

from sim_train.policies.kinds import StoredPolicy
from sim_train.rollouts.calls import Call, PlayReport, WorkerFailureError
from sim_train.rollouts.environment import MakeEnvironment
from sim_train.rollouts.episodes import Job
from sim_train.rollouts.inference_pool import InferencePool
from sim_train.rollouts.pace import STILL_S, Pace, Stillness
from sim_train.rollouts.trajectories import Trajectories
from sim_train.rollouts.weights import Weights, weights_of
from sim_train.rollouts.worker import Remote, Request, Task, serve

STARTUP_S = 300.0
"""Time for a worker to import everything and build its worlds, before its time-out counts."""
_POLL_S = 0.25
_PRELOADED = ["sim_train.rollouts.worker"]
"""What workers have imported when they are born: it takes seconds, and a replacement has none to lose. Without MuJoCo,
whose graphics must not be shared by processes."""


@dataclass
class _Worker:
    process: multiprocessing.process.BaseProcess
    connection: Connection
    state: str = "starting"
    """Then "idle"; "asked" whether it is there; "busy"."""
    weights: Weights | None = None
    silent_s: float = 0.0
    """How long we have listened to it in vain."""
    still: Stillness = field(default_factory=Stillness)
    heard_s: float = 0.0
    """When it was heard last."""


def worker_context() -> ForkServerContext:
    """How worker processes are started. A process has one fork server, so whoever starts workers starts them so: the
    first one decides what all of them have imported."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    return context


class WorkerPool:
    """Workers that live as long as the pool. Use as a context manager.

    A worker gives a sign of life after every chunk. One that ends, does nothing, or is silent for much longer than
    chunks take is replaced; the episodes that it had finished are kept, the others are played again from the beginning.

    Args:
        make_environment: importable function: number of worlds -> environment.
        workers: processes; one a core.
        envs_per_worker: worlds in each.
        timeout_s: silence that is allowed while it is not known how long chunks take, and at most. One chunk of all
            its worlds must fit in easily.
        inference_workers: processes that infer for all workers; 0: each worker has the weights itself.
        inference_device: "cpu" or "cuda", of those processes.
        inference_rows: of each of their batches; 0: as many as there are. See `inference.answer`.
    """

    def __init__(
        self,
        make_environment: MakeEnvironment,
        workers: int,
        envs_per_worker: int,
        timeout_s: float = 120.0,
        inference_workers: int = 0,
        inference_device: str = "cpu",
        inference_rows: int = 0,
    ) -> None:
        if workers < 1 or envs_per_worker < 1 or timeout_s <= 0:
            raise ValueError(
                f"a pool needs at least one worker, one world and a positive time-out; got {workers} workers, "
                f"{envs_per_worker} worlds, {timeout_s} s"
            )
        self._make_environment = make_environment
        self._envs = envs_per_worker
        self._pace = Pace(timeout_s)
        self._context = worker_context()
        self._weights: Weights | None = None
        self._remote: Remote | None = None
        self._inference = (
            InferencePool(self._context, inference_workers, inference_device, inference_rows)
            if inference_workers
            else None
        )
        self._workers = [self._start(i) for i in range(workers)]

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def set_policy(self, policy: StoredPolicy, version: int) -> None:
        """Let every worker play with the policy's present weights; `version` is remembered with each trajectory."""
        self._weights = weights_of(policy, version)
        if self._inference:
            self._inference.set_weights(self._weights)
            self._remote = Remote(self._inference.number, version, policy.draw_size)

    def play(
        self,
        jobs: Sequence[Job],
        task: Task,
        seed: int,
        on_progress: Callable[[int], None] = lambda finished: None,
    ) -> tuple[Trajectories, PlayReport]:
        """Play all jobs; the same arguments and weights give the same trajectories, whatever happens to workers.

        Args:
            jobs: what to play; every `group` is used once.
            task: who plays.
            seed: of everything random in it.
            on_progress: called with the number of finished episodes.

        Raises:
            WorkerFailureError: the simulator refuses an episode, or a share of the work keeps killing its worker.
        """
        call = Call(jobs, task, seed, len(self._workers), on_progress)
        for i in range(len(self._workers)):
            if self._workers[i].state in ("asked", "busy"):  # still at it for a call that was given up
                self._replace(i)
        for i in range(len(call.shares)):
            self._ask(i, call)
        while not call.done:
            self._listen(call)
        return call.result()

    @property
    def process_ids(self) -> list[int]:
        """Process ids of the workers."""
        return [worker.process.pid or 0 for worker in self._workers]

    def close(self) -> None:
        """Stop all workers."""
        idle = [worker for worker in self._workers if worker.state == "idle" and _send(worker, ("stop", None))]
        for worker in self._workers:
            worker.process.join(timeout=5.0 if worker in idle else 0.0)
            _kill(worker)
        if self._inference:
            self._inference.close()

    def _listen(self, call: Call) -> None:
        """Wait for a moment, and deal with what workers say or fail to say."""
        began = time.monotonic()
        busy = [i for i, share in enumerate(call.shares) if not share.done]
        spoken = wait([self._workers[i].connection for i in busy], timeout=_POLL_S)
        now = time.monotonic()
        listened_s = min(now - began, 2 * _POLL_S)  # more only if this process was stopped or starved, too
        if self._inference:
            call.restarts += self._inference.tend()
            if not self._inference.ready:
                listened_s = 0.0  # the workers wait for it
        for i in busy:
            worker = self._workers[i]
            if worker.connection in spoken:
                try:
                    kind, content = worker.connection.recv()
                except (EOFError, OSError):
                    self._restart(i, call, f"ended with code {_exit_code(worker)}")
                    continue
                worker.silent_s = 0.0
                worker.still.stirred()
                self._hear(i, call, kind, content)
                worker.heard_s = now
            else:
                worker.silent_s += listened_s
                worker.still.watch(worker.process.pid or 0, listened_s)
                starting = worker.state == "starting"
                allowed_s = STARTUP_S if starting else self._pace.allowed_s(call.shares[i].falls)
                still = not starting and not self._inference and worker.still.seconds > STILL_S
                if worker.silent_s > allowed_s or still:
                    if self._inference and not starting:  # it may be that one that hangs
                        self._inference.replace(i)
                    self._restart(i, call, f"gave no sign of life for {worker.silent_s:.1f} s")

    def _hear(self, index: int, call: Call, kind: str, content: Any) -> None:  # noqa: ANN401 - any message
        worker, share = self._workers[index], call.shares[index]
        if kind == "ready":
            messages: list[tuple[str, Any]] = []
            if self._weights is not None and not self._inference and worker.weights is not self._weights:
                messages.append(("weights", self._weights))
                worker.weights = self._weights
            messages.append(("play", Request(tuple(share.missing.values()), call.task, call.seed, self._remote)))
            worker.state = "busy"
            if not all(_send(worker, message) for message in messages):
                self._restart(index, call, f"ended with code {_exit_code(worker)}")
        elif kind == "beat":
            self._pace.heard(content.kind, time.monotonic() - worker.heard_s)
            call.receive(share, content)
        else:
            worker.state = "idle"
            if kind == "failed":
                raise WorkerFailureError(str(content))
            share.done = True

    def _ask(self, index: int, call: Call) -> None:
        """Make the worker say that it is ready; one that is starting says so of itself."""
        worker = self._workers[index]
        worker.silent_s = 0.0
        if worker.state == "idle":
            worker.state = "asked"
            if not _send(worker, ("ask", None)):
                self._restart(index, call, f"ended with code {_exit_code(worker)}")

    def _restart(self, index: int, call: Call, reason: str) -> None:
        call.fallen(call.shares[index], f"rollout worker {index}", reason)
        self._replace(index)

    def _start(self, index: int) -> _Worker:
        ours, theirs = self._context.Pipe()
        inference = self._inference.address(index) if self._inference else None
        process = self._context.Process(
            target=serve, args=(theirs, self._make_environment, self._envs, inference), daemon=True, name="rollout"
        )
        process.start()
        theirs.close()
        return _Worker(process, ours)

    def _replace(self, index: int) -> None:
        _kill(self._workers[index])
        self._workers[index] = self._start(index)


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
