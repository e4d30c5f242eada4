"""`python -m policy_server serve`: load a policy and answer robots until a signal comes."""

import argparse
from pathlib import Path

from policy_api.channel import TlsFiles

from policy_server import telemetry
from policy_server.backends.choice import FORMS, load_backend
from policy_server.fixed_hub import FixedHub
from policy_server.policy import Policy
from policy_server.security import check_bind, server_credentials
from policy_server.server import DEFAULT_ADDRESS, ServerConfig
from policy_server.server import run as run_server
from policy_server.sessions import SessionTable
from sim_train.checkpoint import load_policy


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the options of the command."""
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--checkpoint", type=Path, metavar="DIR", help="directory of the checkpoint")
    what.add_argument("--backend", metavar="NAME", help=FORMS)
    parser.add_argument("--address", default=DEFAULT_ADDRESS, help="host:port or unix:PATH (default: %(default)s)")
    parser.add_argument("--tls", type=Path, metavar="DIR", help="certificates made by `certs`; needed beyond loopback")
    parser.add_argument(
        "--insecure-bind", action="store_true", help="listen beyond loopback without certificates: anybody may connect"
    )
    telemetry.add_arguments(parser)


def run(arguments: argparse.Namespace) -> None:
    """Load, warm up, serve. Raises PolicyApiError, OSError, ValueError if that is not possible."""
    tls = None if arguments.tls is None else TlsFiles.of(arguments.tls)
    for address in filter(None, (arguments.address, arguments.metrics)):
        check_bind(address, tls is not None, arguments.insecure_bind)  # before a policy is loaded
    credentials = None if tls is None else server_credentials(tls)
    hub, sessions = FixedHub([_policy(arguments)]), SessionTable()
    watching = telemetry.Telemetry(
        hub, sessions, arguments.metrics, arguments.trace, tls, insecure_bind=arguments.insecure_bind
    )
    config = ServerConfig(arguments.address, credentials, arguments.insecure_bind, sessions, watching.observer)
    run_server(hub, config, watching.flush)


def _policy(arguments: argparse.Namespace) -> Policy:
    return load_policy(arguments.checkpoint) if arguments.checkpoint is not None else load_backend(arguments.backend)
