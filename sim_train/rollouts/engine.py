"""What plays episodes for the stages of a run, on one machine or on many."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Protocol

from typing_extensions import Self

from sim_train.policies.kinds import StoredPolicy
from sim_train.rollouts.ahead import AheadEngine
from sim_train.rollouts.calls import PlayReport, WorkerFailureError
from sim_train.rollouts.config import RolloutConfig
from sim_train.rollouts.environment import MakeEnvironment
from sim_train.rollouts.episodes import Job
from sim_train.rollouts.pool import WorkerPool
from sim_train.rollouts.trajectories import Trajectories
from sim_train.rollouts.worker import Task


class RolloutEngine(Protocol):
    """Workers that live as long as the engine. Use as a context manager."""

    def set_policy(self, policy: StoredPolicy, version: int) -> None:
        """Let every worker play with the policy's present weights; `version` is remembered with each trajectory."""

    def play(
        self, jobs: Sequence[Job], task: Task, seed: int, on_progress: Callable[[int], None] = lambda finished: None
    ) -> tuple[Trajectories, PlayReport]:
        """Play all jobs; the same arguments and weights give the same trajectories, whoever plays them.

        Args:
            jobs: what to play; every `group` is used once.
            task: who plays.
            seed: of everything random in it.
            on_progress: called with the number of finished episodes.

        Raises:
            WorkerFailureError: the simulator refuses an episode, or a share of the work keeps killing its worker.
        """

    def close(self) -> None:
        """Stop all workers."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def make_engine(config: RolloutConfig, make_environment: MakeEnvironment) -> RolloutEngine:
    """The engine of a configuration, with its workers; an `AheadEngine` if rollouts are asynchronous.

    Args:
        config: where and how.
        make_environment: importable function: number of worlds -> environment.

    Raises:
        WorkerFailureError: Ray is not installed, or the cluster cannot be reached or has no room.
    """
    engine = _local(config, make_environment) if config.engine == "local" else _ray(config, make_environment)
    return AheadEngine(engine) if config.asynchronous else engine


def _local(config: RolloutConfig, make_environment: MakeEnvironment) -> RolloutEngine:
    return WorkerPool(
        make_environment,
        config.processes,
        config.envs_per_worker,
        config.timeout_s,
        config.inference_workers if config.inference == "shared" else 0,
        config.inference_device,
        config.inference_rows,
    )


def _ray(config: RolloutConfig, make_environment: MakeEnvironment) -> RolloutEngine:
    try:
        from sim_train.rollouts.ray_engine import RayEngine
    except ModuleNotFoundError as error:
        if error.name != "ray":
            raise
        raise WorkerFailureError(
            "rollout.engine=ray needs Ray, which is not installed; pip install 'armature[ray]', or rollout.engine=local"
        ) from error
    return RayEngine(config, make_environment)
