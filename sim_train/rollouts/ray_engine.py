"""Episodes played by the nodes of a Ray cluster."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from sim_train.policies.kinds import StoredPolicy
from sim_train.rollouts.calls import MAX_RESTARTS, Call, PlayReport, Share, WorkerFailureError
from sim_train.rollouts.config import RolloutConfig
from sim_train.rollouts.environment import MakeEnvironment
from sim_train.rollouts.episodes import Job
from sim_train.rollouts.pace import Pace
from sim_train.rollouts.pool import STARTUP_S
from sim_train.rollouts.ray_cluster import Room, connect, workers_that_fit
from sim_train.rollouts.trajectories import Trajectories
from sim_train.rollouts.weights import weights_of
from sim_train.rollouts.worker import Remote, Request, Task

import ray  # isort: skip - after ray_cluster, which says what Ray may tell the world

from sim_train.rollouts.ray_actors import InferenceActor, RolloutActor  # isort: skip

_POLL_S = 0.25


@dataclass
class _Worker:
    actor: Any
    greeting: ray.ObjectRef
    """Answers with the whereabouts when the worker is there."""
    node: str = ""
    """Id of its node; empty while it starts."""
    pid: int = 0
    stream: Any = None
    """Its messages, while it plays."""
    share: Share | None = None
    """What it plays."""
    inference: Any = None
    """The actor that it asks."""
    silent_s: float = 0.0
    heard_s: float = 0.0


class RayEngine:
    """Rollout actors, and inference actors if inference is shared. Use as a context manager; see `RolloutEngine`.

    A worker that ends, with its node or alone, or is silent for much longer than chunks take is replaced. If the
    cluster has no room for another, the others take over what it had not finished, and it comes back when there is room
    again.

    Args:
        config: where and how.
        make_environment: importable function: number of worlds -> environment.

    Raises:
        WorkerFailureError: the cluster cannot be reached or has no room.
    """

    def __init__(self, config: RolloutConfig, make_environment: MakeEnvironment) -> None:
        self._config = config
        self._make_environment = make_environment
        self._pace = Pace(config.timeout_s)
        self._weights: list[ray.ObjectRef] = []
        self._number = 0
        self._remote: Remote | None = None
        self._loads: list[ray.ObjectRef] = []  # done when the inference actors are there and have the weights
        self._stillborn = 0  # workers in a row that ended before they were there
        self._mine = connect(config.ray)
        try:
            count = workers_that_fit(config)
            shared = config.inference_workers if config.inference == "shared" else 0
            self._room = Room(config.ray, [config.ray.inference] * shared + [config.ray.rollout] * count)
            self._inference = [self._start_inference() for _ in range(shared)]
            self._workers = [self._start() for _ in range(count)]
        except WorkerFailureError:
            self._disconnect()
            raise

    def __enter__(self) -> RayEngine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def set_policy(self, policy: StoredPolicy, version: int) -> None:
        """Let every worker play with the policy's present weights; `version` is remembered with each trajectory."""
        self._number += 1
        self._weights = [ray.put(weights_of(policy, version))]  # one copy a node, shared by its workers
        if self._inference:
            self._remote = Remote(self._number, version, policy.draw_size)
            self._loads = [actor.load.remote(self._weights[0], self._number) for actor in self._inference]

    def play(
        self, jobs: Sequence[Job], task: Task, seed: int, on_progress: Callable[[int], None] = lambda finished: None
    ) -> tuple[Trajectories, PlayReport]:
        """Play all jobs; see `RolloutEngine.play`."""
        call = Call(jobs, task, seed, len(self._workers), on_progress)
        for i, worker in enumerate(self._workers):
            if worker.share is not None:  # still at it for a call that was given up
                self._replace(i)
            worker.silent_s = 0.0
        waiting = deque(call.shares)
        alone_s = 0.0
        while not call.done:
            for i, worker in enumerate(self._workers):
                if worker.node and worker.share is None and waiting:
                    self._give(i, waiting.popleft(), call)
            listened_s = self._listen(call, waiting)
            going = any(worker.node for worker in self._workers) and self._inference_is_there()
            alone_s = 0.0 if going else alone_s + listened_s
            if alone_s > STARTUP_S:
                raise WorkerFailureError(
                    f"rollout or inference workers could not be started for {alone_s:.0f} s: the cluster may have no "
                    "room. Look at `ray status`, and add nodes or ask for fewer rollout.workers"
                )
        return call.result()

    @property
    def process_ids(self) -> list[int]:
        """Process ids of the workers, each on its node; 0 while one starts."""
        return [worker.pid for worker in self._workers]

    @property
    def nodes(self) -> list[str]:
        """Ids of the workers' nodes; empty while one starts."""
        return [worker.node for worker in self._workers]

    def close(self) -> None:
        """Stop all workers, give their places back, and stop Ray where this engine started it."""
        for worker in self._workers:
            ray.kill(worker.actor)
        for actor in self._inference:
            ray.kill(actor)
        self._room.free()
        self._disconnect()

    def _disconnect(self) -> None:
        if self._mine:
            ray.shutdown()

    def _inference_is_there(self) -> bool:
        return not self._loads or len(ray.wait(self._loads, num_returns=len(self._loads), timeout=0)[0]) == len(
            self._loads
        )

    def _give(self, index: int, share: Share, call: Call) -> None:
        worker = self._workers[index]
        request = Request(tuple(share.missing.values()), call.task, call.seed, self._remote)
        if self._inference:
            worker.inference = self._inference[index % len(self._inference)]
        worker.share = share
        worker.silent_s, worker.heard_s = 0.0, time.monotonic()
        ask = worker.actor.perform.options(num_returns="streaming")
        worker.stream = ask.remote(request, self._number, self._weights, [worker.inference])

    def _listen(self, call: Call, waiting: deque[Share]) -> float:
        """Wait for a moment, and deal with what workers say or fail to say; returns how long, in seconds."""
        began = time.monotonic()
        speakers = {
            i: w.stream if w.share else w.greeting for i, w in enumerate(self._workers) if w.share or not w.node
        }
        everyone = list(speakers.values())
        ray.wait(everyone, num_returns=1, timeout=_POLL_S, fetch_local=False)
        spoken = set(ray.wait(everyone, num_returns=len(everyone), timeout=0, fetch_local=False)[0])
        listened_s = min(time.monotonic() - began, 2 * _POLL_S)  # more only if this process was stopped
        for i, speaker in speakers.items():
            worker = self._workers[i]
            if speaker in spoken:
                worker.silent_s = 0.0
                try:
                    self._hear(i, call, waiting)
                except (ray.exceptions.RayActorError, ray.exceptions.ObjectLostError) as error:
                    self._fallen(i, call, waiting, f"was lost ({error})")
                worker.heard_s = time.monotonic()
            elif worker.share is not None and self._inference_is_there():
                worker.silent_s += listened_s
                if worker.silent_s > self._pace.allowed_s(worker.share.falls):
                    self._fallen(i, call, waiting, f"gave no sign of life for {worker.silent_s:.1f} s")
        return listened_s

    def _hear(self, index: int, call: Call, waiting: deque[Share]) -> None:
        worker = self._workers[index]
        if worker.share is None:
            worker.node, worker.pid = ray.get(worker.greeting)
            self._stillborn = 0
            return
        kind, content = ray.get(next(worker.stream))
        if kind == "beat":
            self._pace.heard(content.kind, time.monotonic() - worker.heard_s)
            call.receive(worker.share, content)
            return
        share, worker.share = worker.share, None
        if kind == "failed":
            raise WorkerFailureError(str(content))
        if kind == "lost":
            call.fallen(share, "an inference worker", f"was lost ({content})")
            self._replace_inference(worker.inference)
            if not share.done:
                waiting.append(share)
        else:
            share.done = True

    def _fallen(self, index: int, call: Call, waiting: deque[Share], reason: str) -> None:
        share = self._workers[index].share
        self._replace(index)
        if share is None:
            call.restarts += 1
            self._stillborn += 1
            if self._stillborn > MAX_RESTARTS:
                raise WorkerFailureError(f"rollout workers cannot be started: the last one {reason}")
            return
        call.fallen(share, f"rollout worker {index}", reason)
        if not share.done:
            waiting.append(share)

    def _start(self) -> _Worker:
        kind = ray.remote(RolloutActor).options(**self._room.options(self._config.ray.rollout))
        actor: Any = kind.remote(self._make_environment, self._config.envs_per_worker, bool(self._inference))
        return _Worker(actor, actor.whereabouts.remote())

    def _start_inference(self) -> Any:  # noqa: ANN401 - Ray makes the type of a handle
        config = self._config
        room = self._room.options(config.ray.inference)
        kind = ray.remote(InferenceActor).options(**room, max_concurrency=1000)  # questions that wait, not that compute
        return kind.remote(config.inference_device, config.inference_rows)

    def _replace(self, index: int) -> None:
        ray.kill(self._workers[index].actor)
        self._workers[index] = self._start()

    def _replace_inference(self, lost: Any) -> None:  # noqa: ANN401 - a handle
        for i, actor in enumerate(self._inference):
            if actor is lost:
                ray.kill(actor)
                self._inference[i] = self._start_inference()
                self._loads[i] = self._inference[i].load.remote(self._weights[0], self._number)
