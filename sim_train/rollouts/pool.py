"""A pool of persistent worker processes that play episodes, and come back after a crash or a hang."""

from __future__ import annotations

import json
import multiprocessing
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from types import TracebackType
from typing import Any

import numpy as np

from sim_train.policies.blueprint import to_blueprint
from sim_train.policies.kinds import StoredPolicy
from sim_train.rollouts.environment import MakeEnvironment
from sim_train.rollouts.episodes import Job, Start, starts_of
from sim_train.rollouts.pace import STILL_S, Pace, Stillness
from sim_train.rollouts.trajectories import Trajectories, concatenate
from sim_train.rollouts.worker import Report, Request, Task, Weights, serve, split, weights_of

MAX_RESTARTS = 2
"""Times that one share of the work may bring a worker down without finishing an episode in between."""
STARTUP_S = 300.0
"""Time for a worker to import everything and build its worlds, before its time-out counts."""
_POLL_S = 0.25
_PRELOADED = ["sim_train.rollouts.worker"]
"""What workers have imported when they are born: it takes seconds, and a replacement has none to lose. Without MuJoCo,
whose graphics must not be shared by processes."""


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
    state: str = "starting"
    """Then "idle"; "asked" whether it is there; "busy"."""
    weights: Weights | None = None
    silent_s: float = 0.0
    """How long we have listened to it in vain."""
    still: Stillness = field(default_factory=Stillness)
    heard_s: float = 0.0
    """When it was heard last."""


@dataclass
class _Share:
    """One worker's part of a call."""

    missing: dict[tuple[int, int], Start]
    """Episodes that are not finished, by group and member."""
    done: bool = False
    falls: int = 0
    """Workers that it has brought down since its last finished episode."""


@dataclass
class _Call:
    """Everything that one call of `play` has brought home."""

    task: Task
    seed: int
    shares: list[_Share]
    on_progress: Callable[[int], None]
    parts: list[Trajectories]
    keys: list[tuple[int, int]]
    faults: int = 0
    restarts: int = 0

    def receive(self, share: _Share, report: Report) -> None:
        self.faults += report.faults
        if report.arrays is not None:
            self.parts.append(Trajectories.from_arrays(report.arrays))
            self.keys += report.keys
            for key in report.keys:
                del share.missing[key]
            share.falls = 0
        self.on_progress(len(self.keys))


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
        self._pace = Pace(timeout_s)
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(_PRELOADED)
        self._weights: Weights | None = None
        self._workers = [self._start() for _ in range(workers)]

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def set_policy(self, policy: StoredPolicy, version: int) -> None:
        """Let every worker play with the policy's present weights; `version` is remembered with each trajectory."""
        self._weights = weights_of(policy, json.dumps(to_blueprint(policy)), version)

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
        if not jobs:
            raise ValueError("nothing to play: no jobs were given")
        started = time.monotonic()
        shares = [_share(starts_of(part)) for part in split(jobs, len(self._workers)) if part]
        call = _Call(task, seed, shares, on_progress, [], [])
        for i in range(len(self._workers)):
            if self._workers[i].state in ("asked", "busy"):  # still at it for a call that was given up
                self._replace(i)
        for i in range(len(shares)):
            self._ask(i, call)
        while not all(share.done for share in shares):
            self._listen(call)
        order = sorted(range(len(call.keys)), key=call.keys.__getitem__)
        merged = concatenate(call.parts).select(np.array(order))
        return merged, PlayReport(time.monotonic() - started, call.faults, call.restarts)

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

    def _listen(self, call: _Call) -> None:
        """Wait for a moment, and deal with what workers say or fail to say."""
        began = time.monotonic()
        busy = [i for i, share in enumerate(call.shares) if not share.done]
        spoken = wait([self._workers[i].connection for i in busy], timeout=_POLL_S)
        now = time.monotonic()
        listened_s = min(now - began, 2 * _POLL_S)  # more only if this process was stopped or starved, too
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
                if worker.silent_s > allowed_s or (not starting and worker.still.seconds > STILL_S):
                    self._restart(i, call, f"gave no sign of life for {worker.silent_s:.1f} s")

    def _hear(self, index: int, call: _Call, kind: str, content: Any) -> None:  # noqa: ANN401 - any message
        worker, share = self._workers[index], call.shares[index]
        if kind == "ready":
            messages: list[tuple[str, Any]] = []
            if self._weights is not None and worker.weights is not self._weights:
                messages.append(("weights", self._weights))
                worker.weights = self._weights
            messages.append(("play", Request(tuple(share.missing.values()), call.task, call.seed)))
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

    def _ask(self, index: int, call: _Call) -> None:
        """Make the worker say that it is ready; one that is starting says so of itself."""
        worker = self._workers[index]
        worker.silent_s = 0.0
        if worker.state == "idle":
            worker.state = "asked"
            if not _send(worker, ("ask", None)):
                self._restart(index, call, f"ended with code {_exit_code(worker)}")

    def _restart(self, index: int, call: _Call, reason: str) -> None:
        share = call.shares[index]
        share.falls += 1
        if share.falls > MAX_RESTARTS:
            raise WorkerFailureError(
                f"rollout worker {index} {reason}, {share.falls} times on the same work; "
                "its own error is printed above. If it ran out of memory, use fewer worlds (envs_per_worker)"
            )
        call.restarts += 1
        self._replace(index)
        share.done = not share.missing

    def _start(self) -> _Worker:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(
            target=serve, args=(theirs, self._make_environment, self._envs), daemon=True, name="rollout"
        )
        process.start()
        theirs.close()
        return _Worker(process, ours)

    def _replace(self, index: int) -> None:
        _kill(self._workers[index])
        self._workers[index] = self._start()


def _share(starts: Sequence[Start]) -> _Share:
    return _Share({(start.group, start.member): start for start in starts})


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
