"""`python -m policy_server serve`: load policies and answer robots until a signal comes."""

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path

import grpc
from policy_api.channel import TlsFiles

from policy_server import engines, telemetry
from policy_server.backends.choice import FORMS
from policy_server.denied import FILE_NAME as DENIED_FILE
from policy_server.denied import Denied
from policy_server.fixed_hub import FixedHub
from policy_server.front import Front
from policy_server.openpi.mapping import ObservationKeys
from policy_server.openpi.server import OpenPiServer
from policy_server.revisions.commands import DEFAULT_ADDRESS as DEFAULT_ADMIN_ADDRESS
from policy_server.security import check_bind, server_credentials
from policy_server.server import DEFAULT_ADDRESS, AdminConfig, ServerConfig
from policy_server.server import run as run_server
from policy_server.sessions import DEFAULT_LEASE_NS, MAX_LEASE_NS, MIN_LEASE_NS, SessionTable

_GIGABYTE = 1_000_000_000
_OPENPI_GRACE_S = 0.2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the options of the command."""
    what = parser.add_argument_group("which policies (each may be given again, for several models)")
    what.add_argument("--checkpoint", action="append", default=[], metavar="DIR", help="directory of a checkpoint")
    what.add_argument("--backend", action="append", default=[], metavar="NAME", help=FORMS)
    what.add_argument(
        "--checkpoints", type=Path, metavar="DIR", help="folder that operators may load checkpoints from (see: admin)"
    )
    what.add_argument(
        "--max-weights-gb", type=float, default=16.0, metavar="GB", help="in memory at once (default: %(default)s)"
    )
    what.add_argument("--engine", choices=("plain", "ray"), default="plain", help="where they run (default: plain)")
    what.add_argument("--replicas", type=int, default=2, metavar="N", help="of each policy on Ray (default: 2)")
    what.add_argument(
        "--replica-gpus", type=float, default=0.0, metavar="X", help="GPUs of each replica, as 0.5 (default: none)"
    )
    what.add_argument("--ray-address", default="", metavar="ADDR", help="of a Ray cluster (default: one of its own)")
    where = parser.add_argument_group("where to listen")
    where.add_argument("--address", default=DEFAULT_ADDRESS, help="host:port or unix:PATH (default: %(default)s)")
    where.add_argument(
        "--admin", default=DEFAULT_ADMIN_ADDRESS, metavar="ADDR", help="for operators (default: %(default)s)"
    )
    where.add_argument("--openpi", metavar="HOST:PORT", help="answer openpi's robots there, over their WebSocket")
    where.add_argument(
        "--openpi-key", action="append", default=[], metavar="NAME=KEY", help="where openpi's observations have NAME"
    )
    where.add_argument("--tls", type=Path, metavar="DIR", help="certificates made by `certs`; needed beyond loopback")
    where.add_argument(
        "--insecure-bind", action="store_true", help="listen beyond loopback without certificates: anybody may connect"
    )
    where.add_argument(
        "--lease-s",
        type=float,
        default=DEFAULT_LEASE_NS * 1e-9,
        metavar="S",
        help="forget a session that is silent for longer (default: %(default)g)",
    )
    telemetry.add_arguments(parser)


def run(arguments: argparse.Namespace) -> None:
    """Load, warm up, serve. Raises PolicyApiError, OSError, ValueError if that is not possible."""
    tls = None if arguments.tls is None else TlsFiles.of(arguments.tls)
    credentials = _check(arguments, tls)
    denied = None if arguments.tls is None else Denied(arguments.tls / DENIED_FILE)
    keys = ObservationKeys.parse(arguments.openpi_key)
    engine = _engine(arguments)
    behind, sessions = engine.behind, SessionTable(round(arguments.lease_s * 1e9))
    hub = FixedHub([]) if isinstance(behind, Front) else behind  # Ray's replicas are watched with Ray's own means
    watching = telemetry.Telemetry(
        hub, sessions, arguments.metrics, arguments.trace, tls, insecure_bind=arguments.insecure_bind
    )
    at_end: list[Callable[[], None]] = [watching.flush]
    if arguments.openpi and not isinstance(behind, Front):
        openpi = OpenPiServer(
            behind, arguments.openpi, keys, observer=watching.observer, insecure_bind=arguments.insecure_bind
        )
        print(f"policy_server answers openpi's robots on ws://{openpi.address}", flush=True)
        at_end.append(partial(openpi.stop, _OPENPI_GRACE_S))
    if isinstance(behind, Front):
        at_end.append(engine.close)  # replicas are other processes; policies in this one end with it
    admin = None if engine.admin is None else AdminConfig(engine.admin, arguments.admin, credentials)
    config = ServerConfig(
        arguments.address, credentials, arguments.insecure_bind, sessions, watching.observer, admin, denied
    )
    run_server(behind, config, at_end)


def _check(arguments: argparse.Namespace, tls: TlsFiles | None) -> grpc.ServerCredentials | None:
    """Refuse what cannot work before a policy is loaded; the credentials of both ports."""
    for address in filter(None, (arguments.address, arguments.metrics)):
        check_bind(address, tls is not None, arguments.insecure_bind)
    if arguments.checkpoints is not None:
        check_bind(arguments.admin, tls is not None)
    if arguments.openpi:
        check_bind(arguments.openpi, tls=False, insecure_bind=arguments.insecure_bind)
    if not (arguments.checkpoint or arguments.backend or arguments.checkpoints):
        raise ValueError(
            "nothing to serve; name a policy with --checkpoint DIR or --backend NAME, or a folder with "
            "--checkpoints DIR that operators load from"
        )
    if arguments.engine == "ray" and (arguments.checkpoints or arguments.openpi):
        raise ValueError("--checkpoints and --openpi need policies in the server's own process; leave --engine ray out")
    if not MIN_LEASE_NS <= arguments.lease_s * 1e9 <= MAX_LEASE_NS:
        raise ValueError(
            f"--lease-s is {arguments.lease_s:g}; {MIN_LEASE_NS * 1e-9:g}..{MAX_LEASE_NS * 1e-9:g} is taken"
        )
    return None if tls is None else server_credentials(tls)


def _engine(arguments: argparse.Namespace) -> engines.Engine:
    backends = [f"checkpoint:{path}" for path in arguments.checkpoint] + arguments.backend
    if arguments.engine == "ray":
        return engines.on_ray(backends, arguments.replicas, arguments.replica_gpus, arguments.ray_address)
    if arguments.checkpoints is None:
        return engines.fixed(backends)
    return engines.changeable(backends, arguments.checkpoints, round(arguments.max_weights_gb * _GIGABYTE))
