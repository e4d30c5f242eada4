"""`python -m policy_server bench --target ADDR [--clients N] [--seconds S] [--tls DIR] [--json]`."""

import argparse
import json
import signal
import sys
from pathlib import Path

from cryptography import x509
from policy_api.channel import TlsFiles
from policy_api.client import PolicyClient
from rich.console import Console

from policy_server.bench.load import run_load
from policy_server.bench.report import Report
from policy_server.security import Peer, Role, TlsError

MAX_CLIENTS = 32
"""What a server takes from one robot."""
MAX_SECONDS = 3600.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `python -m policy_server bench`."""
    parser.add_argument("--target", required=True, metavar="ADDR", help="host:port or unix:PATH of the server")
    parser.add_argument("--clients", type=int, default=1, metavar="N", help="robots at the same time (default 1)")
    parser.add_argument("--seconds", type=float, default=10.0, metavar="S", help="how long to measure (default 10)")
    parser.add_argument("--model", default="", help="name of the model, where the server has several")
    parser.add_argument("--timeout-s", type=float, default=5.0, metavar="S", help="deadline of a call (default 5)")
    parser.add_argument("--tls", type=Path, metavar="DIR", help="certificate of a robot, for a server with TLS")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def run(arguments: argparse.Namespace) -> None:
    """Measure and print. The robots ask with the priority of an evaluation: real ones are served first.

    PolicyApiError if there is no server or it refuses; ValueError, OSError for arguments that cannot work.
    """
    if not 1 <= arguments.clients <= MAX_CLIENTS:
        raise ValueError(f"--clients is {arguments.clients}; 1..{MAX_CLIENTS} are taken")
    for option, value in (("--seconds", arguments.seconds), ("--timeout-s", arguments.timeout_s)):
        if not 0 < value <= MAX_SECONDS:
            raise ValueError(f"{option} is {value:g}; more than 0 and at most {MAX_SECONDS:g} is taken")
    signal.signal(signal.SIGINT, signal.default_int_handler)  # Ctrl-C ends the measuring, not the process
    tls = None if arguments.tls is None else TlsFiles.of(arguments.tls)
    name = None if tls is None else robot_name(tls.cert)

    def connect(number: int) -> PolicyClient:
        robot_id = name or f"bench-{number}"
        return PolicyClient(arguments.target, robot_id, credentials=tls, priority="evaluation")

    load = run_load(connect, arguments.clients, arguments.seconds, arguments.model, arguments.timeout_s)
    report = Report.of(arguments.target, load)
    if arguments.json:
        print(json.dumps(report.to_plain(), indent=2))
    else:
        report.show(Console(file=sys.stdout, highlight=False))
    if not report.answers:
        raise ValueError(f"{arguments.target} answered nothing: {report.first_error or 'interrupted'}")


def robot_name(certificate: Path) -> str:
    """The robot that a certificate names. TlsError if it is no robot's."""
    try:
        parsed = x509.load_pem_x509_certificate(certificate.read_bytes())
        names = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, x509.ExtensionNotFound) as error:
        raise TlsError(f"{certificate} is no certificate of a robot: {error}") from error
    peers = [Peer.parse(uri) for uri in names.get_values_for_type(x509.UniformResourceIdentifier)]
    robots = [peer.name for peer in peers if peer is not None and peer.role is Role.ROBOT]
    if len(robots) != 1:
        raise TlsError(f"{certificate} is no certificate of a robot; use DIR/robots/NAME of policy_server certs")
    return robots[0]
