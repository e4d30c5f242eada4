"""Certificates for one lab: `python -m policy_server certs --out DIR [--robot NAME ...] [--server-name HOST ...]`.

    DIR/ca.pem, DIR/ca.key    the authority; ca.key makes new certificates and belongs on no robot and no server
    DIR/server/               ca.pem, cert.pem, key.pem: copy the folder to the server and give it as --tls
    DIR/robots/NAME/          the same for a robot; DIR/admins/NAME/ for an administrator

Run it again to add robots and to renew what expires within 60 days. An authority that exists is used, never replaced.
"""

import argparse
import ipaddress
import re
import sys
from datetime import datetime, timezone
from pathlib import Path

from cryptography import x509
from rich.console import Console
from rich.table import Table

from policy_server.authority import Authority, Issued
from policy_server.security import NAME, Peer, Role, TlsError

LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")
"""Names that every server's certificate has."""

_HOST = re.compile(r"(?=.{1,253}$)[A-Za-z0-9_]([A-Za-z0-9_-]{0,62})(\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,62}))*")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `python -m policy_server certs`."""
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the authority")
    parser.add_argument("--robot", action="append", default=[], metavar="NAME", help="robot id; may be repeated")
    parser.add_argument("--admin", action="append", default=[], metavar="NAME", help="administrator (default: admin)")
    parser.add_argument(
        "--server-name",
        action="append",
        default=[],
        metavar="HOST",
        help="name or IP address at which robots reach the server; may be repeated",
    )


def run(arguments: argparse.Namespace) -> None:
    """Make what is missing and print what there is. TlsError, OSError say why that was not possible."""
    issued = make(arguments.out, arguments.robot, arguments.admin, arguments.server_name, datetime.now(timezone.utc))
    table = Table(title=f"Certificates in {arguments.out}", title_justify="left")
    for column in ("folder", "names", "expires", ""):
        table.add_column(column, overflow="fold")
    for one in issued:
        place = str(one.folder.relative_to(arguments.out))
        table.add_row(place, "\n".join(one.names), f"{one.expires:%Y-%m-%d}", one.change)
    Console(file=sys.stdout).print(table)
    print(f"Copy each folder to its machine. {arguments.out / 'ca.key'} makes new certificates: keep it offline.")


def make(folder: Path, robots: list[str], admins: list[str], server_names: list[str], now: datetime) -> list[Issued]:
    """Have an authority in `folder` and certificates for the server, these robots and administrators.

    Without `admins` there is one called "admin". Returns every certificate of the folder, also those of earlier runs.
    TlsError for a name that cannot be used, or files that are damaged.
    """
    robots = sorted({*robots, *_present(folder / "robots")})
    admins = sorted({*(admins or ["admin"]), *_present(folder / "admins")})
    for name in [*robots, *admins]:
        if not NAME.fullmatch(name):
            raise TlsError(
                f"name {name!r}: 1 to 64 letters, digits, '.', '_' or '-' are taken, a letter or digit first"
            )
    hosts = [_host(name) for name in (*LOCAL_NAMES, *server_names)]
    authority = Authority.open(folder, now)
    issued = [authority.ensure("server", "policy server", hosts, server=True, now=now)]
    for role, place, names in ((Role.ROBOT, "robots", robots), (Role.ADMIN, "admins", admins)):
        for name in names:
            uri = x509.UniformResourceIdentifier(Peer(role, name).uri)
            issued.append(authority.ensure(f"{place}/{name}", name, [uri], server=False, now=now))
    return issued


def _present(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []


def _host(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        if not _HOST.fullmatch(name):
            raise TlsError(
                f"server name {name!r} is neither a host name nor an IP address (no port, no scheme)"
            ) from None
        return x509.DNSName(name)
