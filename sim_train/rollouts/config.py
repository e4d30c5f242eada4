"""Where and how episodes are played: processes, machines, who infers, and whether anyone waits."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

ENGINES = ("local", "ray")
INFERENCE = ("own", "shared")
DEVICES = ("cpu", "cuda")
PLACEMENTS = ("together", "apart")


@dataclass(frozen=True)
class RoleConfig:
    """What one process of a role takes of a Ray node."""

    cpus: float = 1.0
    """Cores."""
    gpus: float = 0.0
    """GPUs; parts of one are allowed."""
    resources: dict[str, float] = field(default_factory=dict)
    """Custom resources of the nodes it may run on, such as {simulation: 1}; nodes offer them with `ray start`."""


@dataclass(frozen=True)
class RayConfig:
    """A Ray cluster, and who runs where in it."""

    address: str = ""
    """"auto": the cluster that this machine belongs to; "host:6379": another; empty: a new one on this machine."""
    placement: str = "together"
    """One of `PLACEMENTS`: rollout and inference workers on as few nodes as possible, or on as many."""
    rollout: RoleConfig = field(default_factory=RoleConfig)
    """A rollout worker."""
    inference: RoleConfig = field(default_factory=RoleConfig)
    """An inference worker."""
    trainer: RoleConfig = field(default_factory=lambda: RoleConfig(cpus=0.0))
    """The trainer; if nothing is asked for, it is the process that you start."""
    start_timeout_s: float = 120.0
    """Wait so long for the cluster to have room for all workers."""

    @property
    def places_trainer(self) -> bool:
        """Whether the trainer runs on a node that is chosen by what it asks for."""
        return self.trainer.cpus > 0 or self.trainer.gpus > 0 or bool(self.trainer.resources)


@dataclass(frozen=True)
class RolloutConfig:
    """Who plays episodes."""

    engine: str = "local"
    """One of `ENGINES`: processes on this machine, or actors in a Ray cluster."""
    workers: int = 0
    """Processes that simulate; 0: one a core (of the cluster, with Ray)."""
    envs_per_worker: int = 64
    """Worlds in each."""
    inference: str = "own"
    """One of `INFERENCE`: each worker has the weights, or asks inference workers, which batch over all worlds."""
    inference_workers: int = 1
    """How many, where inference is shared."""
    inference_device: str = "cpu"
    """One of `DEVICES`: of the inference workers."""
    inference_batch: int = 64
    """Rows of their batches on a GPU, always this many: it has another kernel for each number of rows, which rounds in
    another way, and an answer must not depend on who else asked. On the CPU a batch has as many rows as there are."""
    asynchronous: bool = False
    """Play the next update's episodes, with weights one version older, while the trainer makes an update."""
    timeout_s: float = 120.0
    """Silence allowed to a worker while it is not known how long chunks take, and at most."""
    ray: RayConfig = field(default_factory=RayConfig)
    """The cluster."""

    @property
    def processes(self) -> int:
        """Processes that simulate on this machine."""
        return self.workers or len(os.sched_getaffinity(0))

    @property
    def inference_rows(self) -> int:
        """Rows of every batch of an inference worker; 0: as many as there are."""
        return self.inference_batch if self.inference_device == "cuda" else 0

    def checks(self) -> list[tuple[bool, str]]:
        """Whether each setting makes sense, and what to say if not."""
        ray = self.ray
        roles = {"rollout": ray.rollout, "inference": ray.inference, "trainer": ray.trainer}
        return [
            (self.engine in ENGINES, f"rollout.engine must be one of {list(ENGINES)}; got {self.engine!r}"),
            (self.workers >= 0, "rollout.workers must not be negative (0: one a core)"),
            (self.envs_per_worker >= 1, "rollout.envs_per_worker must be at least 1"),
            (
                self.inference in INFERENCE,
                f"rollout.inference must be one of {list(INFERENCE)}; got {self.inference!r}",
            ),
            (self.inference_workers >= 1, "rollout.inference_workers must be at least 1"),
            (self.inference_batch >= 2, "rollout.inference_batch must be at least 2"),
            (
                self.inference_device in DEVICES,
                f"rollout.inference_device must be one of {list(DEVICES)}; got {self.inference_device!r}",
            ),
            (
                self.inference_device == "cpu" or self.inference == "shared",
                "rollout.inference_device=cuda needs rollout.inference=shared: workers of their own use the CPU",
            ),
            (self.timeout_s > 0, "rollout.timeout_s must be above 0 seconds"),
            (
                ray.placement in PLACEMENTS,
                f"rollout.ray.placement must be one of {list(PLACEMENTS)}; got {ray.placement!r}",
            ),
            (ray.start_timeout_s > 0, "rollout.ray.start_timeout_s must be above 0 seconds"),
            *(
                (
                    role.cpus >= 0 and role.gpus >= 0 and all(amount > 0 for amount in role.resources.values()),
                    f"rollout.ray.{name}: cpus and gpus must not be negative, custom resources must be above 0",
                )
                for name, role in roles.items()
            ),
            (
                self.inference_device == "cpu" or self.engine == "local" or ray.inference.gpus > 0,
                "rollout.inference_device=cuda on Ray needs rollout.ray.inference.gpus above 0",
            ),
            (self.engine == "ray" or not ray.places_trainer, "rollout.ray.trainer needs rollout.engine=ray"),
        ]
