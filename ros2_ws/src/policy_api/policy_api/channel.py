"""How a robot connects to a policy server: addresses, certificates, and a connection that comes back quickly."""

import ipaddress
from dataclasses import dataclass
from pathlib import Path

import grpc

from policy_api.schema import MAX_MESSAGE_BYTES

_OPTIONS = [
    ("grpc.enable_retries", 0),
    ("grpc.enable_http_proxy", 0),
    ("grpc.use_local_subchannel_pool", 1),  # a new client does not inherit another one's back-off
    # After any outage the next attempt comes within 400 ms and a fifth (gRPC's jitter). The least is also how long
    # one attempt may take, so it stays above a wide-area handshake.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 400),
    ("grpc.max_reconnect_backoff_ms", 400),
    # A connection whose bytes nobody acknowledges for a second is given up, as when a cable is pulled
    # (TCP_USER_TIMEOUT; gRPC sets it only where keep-alive is on, hence the ping, once an hour).
    ("grpc.keepalive_time_ms", 3_600_000),
    ("grpc.keepalive_timeout_ms", 1000),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
]


@dataclass(frozen=True)
class TlsFiles:
    """PEM files for mutual TLS: who signs the server's certificate, this robot's certificate and its private key.

    `python -m policy_server certs --out DIR --robot NAME` makes them. NAME is the robot's id.
    """

    ca: Path
    cert: Path
    key: Path

    @classmethod
    def of(cls, folder: Path) -> "TlsFiles":
        """The files of a robot's folder: ca.pem, cert.pem, key.pem."""
        return cls(folder / "ca.pem", folder / "cert.pem", folder / "key.pem")


def open_channel(address: str, credentials: TlsFiles | None = None) -> grpc.Channel:
    """A channel to "host:port" or "unix:/path"; it connects at the first call.

    Raises ValueError for another address or for certificates on a Unix socket, OSError if a file cannot be read.
    """
    check_address(address)
    if credentials is None:
        return grpc.insecure_channel(address, options=_OPTIONS)
    if address.startswith("unix:"):
        raise ValueError(f"{address} is a Unix socket: it needs no certificates; leave credentials out")
    secrets = grpc.ssl_channel_credentials(
        root_certificates=credentials.ca.read_bytes(),
        private_key=credentials.key.read_bytes(),
        certificate_chain=credentials.cert.read_bytes(),
    )
    return grpc.secure_channel(address, secrets, options=_OPTIONS)


def check_address(address: str) -> None:
    """Raise ValueError unless `address` is "host:port" or "unix:/path"."""
    if address.startswith("unix:"):
        if address == "unix:":
            raise ValueError("address 'unix:' names no socket; write unix:/run/policy.sock")
        return
    host, colon, port = address.rpartition(":")
    if not (colon and host and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError(f"address {address!r} is neither host:port nor unix:/path, for example 127.0.0.1:50051")


def is_local(address: str) -> bool:
    """Whether the address is on this host: a Unix socket or the loopback interface."""
    if address.startswith("unix:"):
        return True
    host = address.rpartition(":")[0].strip("[]")
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
