"""What can stand behind the server: policies for good, policies that operators change, or policies on Ray Serve.

What needs torch or Ray is imported where it is needed: without them a scripted motion is served a second after the
start.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from policy_api import policy_pb2_grpc

from policy_server.backends.choice import load_backend
from policy_server.fixed_hub import FixedHub
from policy_server.front import Front
from policy_server.seam import Hub

_CHECKPOINT = "checkpoint:"


@dataclass(frozen=True)
class Engine:
    """A hub, or a front of policies that are elsewhere, and what ends it."""

    behind: Hub | Front
    admin: policy_pb2_grpc.PolicyAdminServicer | None
    """None where nobody can change the policies."""
    close: Callable[[], None]


def fixed(backends: Sequence[str]) -> Engine:
    """The policies that `backends` name, for as long as the server runs. See `load_backend` and `FixedHub`."""
    hub = FixedHub([load_backend(backend) for backend in backends])
    return Engine(hub, None, hub.close)


def changeable(backends: Sequence[str], folder: Path, max_bytes: int) -> Engine:
    """The policies that `backends` name to begin with; operators load others from `folder`.

    `max_bytes`: weights in memory at once. Raises what `load_backend` and `Catalog.add` raise, NotADirectoryError.
    """
    from policy_server.admin_service import PolicyAdminService
    from policy_server.revisions.catalog import Catalog
    from policy_server.revisions.folder import CheckpointFolder
    from policy_server.revisions.hub import RevisionHub
    from policy_server.revisions.jobs import LoadJobs
    from policy_server.revisions.loading import Loader
    from policy_server.revisions.operations import Operations

    checkpoints = CheckpointFolder(folder, max_bytes)
    catalog = Catalog(max_bytes)
    for backend in backends:
        catalog.add(load_backend(backend), _weights_bytes(backend))
    admin = PolicyAdminService(Operations(catalog), LoadJobs(Loader(checkpoints, catalog)))
    return Engine(RevisionHub(catalog), admin, catalog.close)


def on_ray(backends: Sequence[str], replicas: int, gpus: float, address: str) -> Engine:
    """Replicas of the policies that `backends` name, on Ray Serve. See `RayEngine`."""
    from policy_server.ray_serve.engine import RayConfig, RayEngine

    engine = RayEngine(backends, RayConfig(replicas, address, gpus=gpus))
    return Engine(engine.calls, None, engine.close)


def _weights_bytes(backend: str) -> int:
    """Size of a checkpoint's weights; what is replayed or scripted has none."""
    from sim_train.checkpoint import WEIGHTS

    if not backend.startswith(_CHECKPOINT):
        return 0
    return (Path(backend[len(_CHECKPOINT) :]) / WEIGHTS).stat().st_size
