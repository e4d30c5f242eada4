"""A connection to a Ray cluster, and room in it for the workers of a run."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Sequence
from typing import Any

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing leaves the cluster; read when Ray is imported

import ray
from ray.util.placement_group import placement_group, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from sim_train.rollouts.calls import WorkerFailureError
from sim_train.rollouts.config import RayConfig, RoleConfig, RolloutConfig

_STRATEGIES = {"together": "PACK", "apart": "SPREAD"}


def connect(config: RayConfig) -> bool:
    """Reach the cluster, or start one on this machine; returns whether there was no connection before.

    Raises:
        WorkerFailureError: there is no cluster at that address.
    """
    if ray.is_initialized():
        return False
    try:
        if config.address:
            ray.init(address=config.address, log_to_driver=True, logging_level=logging.WARNING)
        else:
            ray.init(include_dashboard=False, _node_ip_address="127.0.0.1", logging_level=logging.WARNING)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise WorkerFailureError(
            f"no Ray cluster at {config.address or 'this machine'}: {error}. Start one with `ray start --head` and "
            "`ray start --address=HOST:6379` on other machines, or leave rollout.ray.address empty"
        ) from error
    return True


def workers_that_fit(config: RolloutConfig) -> int:
    """`config.workers`, or as many as the cluster has cores for beside a placed trainer and the inference workers."""
    if config.workers:
        return config.workers
    cores = ray.cluster_resources().get("CPU", 0.0) - config.ray.trainer.cpus
    if config.inference == "shared":
        cores -= config.inference_workers * config.ray.inference.cpus
    return max(math.floor(cores / max(config.ray.rollout.cpus, 0.01)), 1)


def options(role: RoleConfig) -> dict[str, Any]:
    """A role's needs as Ray's actor options."""
    return {"num_cpus": role.cpus, "num_gpus": role.gpus, "resources": dict(role.resources), "max_restarts": 0}


class Room:
    """Reserved places, one a worker, as far together or apart as the configuration says.

    Args:
        config: the cluster.
        roles: of each worker.

    Raises:
        WorkerFailureError: the cluster has no such room within `start_timeout_s`.
    """

    def __init__(self, config: RayConfig, roles: Sequence[RoleConfig]) -> None:
        bundles = [_bundle(role) for role in roles]
        self._group = placement_group(bundles, strategy=_STRATEGIES[config.placement])
        if not self._group.wait(config.start_timeout_s):
            remove_placement_group(self._group)
            there = {name: amount for name, amount in ray.cluster_resources().items() if not name.startswith("node:")}
            raise WorkerFailureError(
                f"the Ray cluster has no room for {_total(bundles)} within {config.start_timeout_s:.0f} s; it has "
                f"{there} in all. Ask for fewer rollout.workers or for less in rollout.ray.rollout, "
                "rollout.ray.inference and rollout.ray.trainer, or add nodes"
            )

    def options(self, role: RoleConfig) -> dict[str, Any]:
        """Actor options of a worker of this role, in any of its free places."""
        strategy = PlacementGroupSchedulingStrategy(placement_group=self._group)
        return {**options(role), "scheduling_strategy": strategy}

    def free(self) -> None:
        """Give the places back."""
        remove_placement_group(self._group)


def _bundle(role: RoleConfig) -> dict[str, float]:
    whole = {"CPU": role.cpus, "GPU": role.gpus, **role.resources}
    return {name: amount for name, amount in whole.items() if amount}


def _total(bundles: Sequence[dict[str, float]]) -> dict[str, float]:
    names = dict.fromkeys(name for bundle in bundles for name in bundle)
    return {name: sum(bundle.get(name, 0.0) for bundle in bundles) for name in names}
