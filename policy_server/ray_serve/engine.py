"""Policies deployed on Ray Serve, and the cluster they run on."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing leaves the cluster; read when Ray is imported
os.environ.setdefault("RAY_worker_niceness", "0")  # Ray's workers give way to everything else; robots cannot wait

import ray
from policy_api import policy_pb2 as pb
from policy_api import serde
from ray import serve
from ray.serve.config import ProxyLocation
from ray.serve.schema import LoggingConfig

from policy_server.backends.choice import absolute
from policy_server.ray_serve.calls import Deployed, RayCalls
from policy_server.ray_serve.replica import MAX_CALLS, PolicyReplica
from policy_server.ray_serve.wire import Reply

logging.getLogger("ray.serve").setLevel(logging.WARNING)  # it tells of every replica, also in this process

_NAME = "armature-policy-{}"
_STARTUP_S = 300.0
_ROUTER = "policy_server.ray_serve.router.SessionRouter"


@dataclass(frozen=True)
class RayConfig:
    """How many replicas of each policy there are, and where.

    address: of a Ray cluster that is there already, as `ray.init` takes it; empty: one on this machine, for as long
    as the server runs.
    gpus: of each replica, which finds none unless it is given some of one.
    """

    replicas: int = 2
    address: str = ""
    gpus: float = 0.0


class RayEngine:
    """Replicas of some policies, until `close`. `calls` is what a PolicyServer stands in front of."""

    def __init__(self, backends: Sequence[str], config: RayConfig) -> None:
        """Start the cluster if need be, deploy, load and warm up.

        `backends`: as `load_backend` takes them, one a model; every machine of the cluster must have their files.
        Raises ValueError if a policy cannot be loaded or two have the same model name, ServerUnavailable or OSError
        if there is no such cluster.
        """
        if config.replicas < 1:
            raise ValueError(f"replicas is {config.replicas}; at least one is needed")
        self._is_ours = not config.address
        self._names: list[str] = []
        _connect(config, len(backends))
        try:
            serve.start(proxy_location=ProxyLocation.Disabled, logging_config=LoggingConfig(log_level="WARNING"))
            models = [self._deploy(_NAME.format(i), absolute(text), config) for i, text in enumerate(backends)]
            names = [deployed.spec.model for deployed in models]
            if twice := [name for i, name in enumerate(names) if name in names[:i]]:
                raise ValueError(f"two policies are called {twice[0]!r}; give each model its own name")
            self.calls = RayCalls(models)
        except BaseException:  # memory is given back whatever happened, Ctrl-C too
            self.close()
            raise

    def close(self) -> None:
        """Give the replicas back, and the cluster if it is ours."""
        if self._is_ours:
            serve.shutdown()
        else:
            for name in self._names:
                serve.delete(name)
        ray.shutdown()

    def _deploy(self, name: str, backend: str, config: RayConfig) -> Deployed:
        deployed = serve.deployment(
            name=name,
            num_replicas=config.replicas,
            max_ongoing_requests=MAX_CALLS,
            ray_actor_options={"num_cpus": 1, "num_gpus": config.gpus},
            request_router_config={"request_router_class": _ROUTER},
            graceful_shutdown_timeout_s=1.0,
            logging_config={"log_level": "WARNING", "enable_access_log": False},
        )(PolicyReplica)
        self._names.append(name)
        handle = serve.run(deployed.bind(backend), name=name, route_prefix=None)
        reply: Reply = handle.contracts.remote().result(timeout_s=_STARTUP_S)
        if reply.error:
            raise ValueError(reply.text)
        info = pb.ServerInfo.FromString(reply.data)
        spec, revision = serde.spec_from_proto(info.specs[0])
        return Deployed(name, handle, info, spec, revision, info.specs[0].prefix_steps)


def _connect(config: RayConfig, models: int) -> None:
    try:
        if config.address:
            ray.init(address=config.address, logging_level=logging.WARNING)
        else:
            cpus = max(os.cpu_count() or 1, models * config.replicas)
            ray.init(
                num_cpus=cpus, include_dashboard=False, _node_ip_address="127.0.0.1", logging_level=logging.WARNING
            )
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise OSError(
            f"no Ray cluster at {config.address or 'this machine'}: {error}. Start one with `ray start --head`, or "
            "leave the address out"
        ) from error
