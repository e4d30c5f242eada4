"""`--engine ray` on the command line; Ray itself is imported when it is asked for."""

import argparse
from collections.abc import Sequence
from typing import NoReturn

from policy_server.server import ServerConfig, run


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the options."""
    group = parser.add_argument_group("scale-out", "policies on Ray Serve instead of in this process")
    group.add_argument("--engine", choices=("plain", "ray"), default="plain", help="(default: %(default)s)")
    group.add_argument("--replicas", type=int, default=2, metavar="N", help="of each policy (default: %(default)s)")
    group.add_argument("--ray-address", default="", metavar="ADDR", help="of a Ray cluster (default: one here)")
    group.add_argument("--replica-cpus", type=float, default=1.0, metavar="X", help="(default: %(default)s)")
    group.add_argument("--replica-gpus", type=float, default=0.0, metavar="X", help="(default: %(default)s)")


def run_on_ray(arguments: argparse.Namespace, backends: Sequence[str], config: ServerConfig) -> NoReturn:
    """Deploy, load, serve until a signal comes. Raises PolicyApiError, OSError, ValueError if that is not possible."""
    try:
        from policy_server.ray_serve.engine import RayConfig, RayEngine
    except ModuleNotFoundError as error:
        raise ValueError(f"Ray Serve is not installed ({error}); pip install 'armature[serve-ray]'") from error
    ray_config = RayConfig(
        replicas=arguments.replicas,
        address=arguments.ray_address,
        cpus=arguments.replica_cpus,
        gpus=arguments.replica_gpus,
    )
    engine = RayEngine(backends, ray_config)
    run(engine.calls, config, engine.close)
