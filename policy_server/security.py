"""Who may listen where, and who may call what: bind rules, mutual TLS, names and roles from certificates.

A certificate says who its holder is in a URI among its alternative names: `armature://robot/NAME` for a robot,
`armature://admin/NAME` for whoever looks after the server. NAME of a robot is its `robot_id`. The common name is for
human readers and decides nothing. `python -m policy_server certs` makes such certificates.
"""

import ipaddress
import logging
import re
import stat
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from enum import Enum
from pathlib import Path

import grpc
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from policy_api.channel import TlsFiles
from policy_api.errors import PermissionDenied

log = logging.getLogger(__name__)

SCHEME = "armature"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""What robots and administrators may be called."""

_SOON = timedelta(days=30)
_UNIX = "unix:"


class TlsError(ValueError):
    """Certificates or keys that cannot be used; the text says which file, why, and what to do."""


class Role(Enum):
    """What a certificate allows: robots call PolicyService, administrators call PolicyAdmin."""

    ROBOT = "robot"
    ADMIN = "admin"


@dataclass(frozen=True)
class Peer:
    """The holder of a client certificate."""

    role: Role
    name: str

    @property
    def uri(self) -> str:
        """The name as it stands in the certificate."""
        return f"{SCHEME}://{self.role.value}/{self.name}"

    @classmethod
    def parse(cls, uri: str) -> "Peer | None":
        """The peer that `uri` names; None if it is no such URI."""
        for role in Role:
            prefix = f"{SCHEME}://{role.value}/"
            if uri.startswith(prefix) and NAME.fullmatch(uri[len(prefix) :]):
                return cls(role, uri[len(prefix) :])
        return None


@dataclass(frozen=True)
class Pem:
    """What `TlsFiles` hold."""

    ca: bytes
    certificate: bytes
    key: bytes


def is_private(address: str) -> bool:
    """Whether only this machine can reach `address`, "host:port" or "unix:PATH". ValueError if it is neither."""
    if address.startswith(_UNIX):
        if not address[len(_UNIX) :].strip("/"):
            raise ValueError(f"address {address!r} names no socket; for example unix:/run/armature/policy.sock")
        return True
    host, colon, port = address.rpartition(":")
    if not colon or not host or not port.isdigit() or int(port) > 65535:
        raise ValueError(f"address {address!r} is not host:port, for example 127.0.0.1:50051, or unix:PATH")
    try:
        return host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def check_bind(address: str, tls: bool, insecure_bind: bool = False) -> None:
    """Refuse to listen where strangers could come in: ValueError.

    Loopback (127.0.0.0/8, [::1], localhost) and Unix sockets may be plaintext. Everything else needs mutual TLS, or
    `insecure_bind`, which is for networks that are trusted as a whole and is logged as a warning. The port of
    PolicyAdmin is never covered by it: whoever reaches that port can replace the policy.
    """
    if is_private(address) or tls:
        return
    if not insecure_bind:
        raise ValueError(
            f"refusing to listen on {address!r}: the connection would not be encrypted, and anybody on the network "
            "could move the robots. Give certificates (--tls DIR; make them with: python -m policy_server certs "
            "--out DIR), or use 127.0.0.1 and an SSH tunnel to reach the server from another machine"
        )
    log.warning(
        "INSECURE: listening on %s without TLS because of --insecure-bind. Anybody who reaches this port can read what "
        "the cameras see, take every session the server has and act as any robot. Nothing asks who they are.",
        address,
    )


def read_tls(files: TlsFiles, now: datetime) -> Pem:
    """Read and check the files: TlsError if a handshake with them could not succeed or the key is not kept private.

    Warns in the log if the certificate expires within 30 days.
    """
    pem = Pem(_read(files.ca), _read(files.cert), _read(files.key))
    if files.key.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise TlsError(f"{files.key} can be read by others than its owner; run: chmod 600 {files.key}")
    try:
        authorities = x509.load_pem_x509_certificates(pem.ca)
        certificate = x509.load_pem_x509_certificate(pem.certificate)
        key = load_pem_private_key(pem.key, None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        names = f"{files.ca}, {files.cert} and {files.key}"
        raise TlsError(f"{names} must be PEM, the key without a password: {error}") from error
    own = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if own != key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo):
        raise TlsError(f"{files.key} is not the key of {files.cert}; copy both from the same folder")
    if not any(_issued(certificate, authority) for authority in authorities):
        raise TlsError(f"{files.cert} was not issued by the authority in {files.ca}; copy the whole folder")
    _check_dates(files.cert, certificate, now)
    return pem


def server_credentials(files: TlsFiles) -> grpc.ServerCredentials:
    """Mutual TLS: peers must show a certificate of the authority in `files.ca`. TlsError. For any number of ports.

    The files are looked at again at every handshake, so that renewed ones are used without a restart; if the new ones
    are not usable that is logged and the old ones stay.
    """
    stamps = _stamps(files)
    configuration = _configuration(read_tls(files, datetime.now(timezone.utc)))

    def present() -> grpc.ServerCertificateConfiguration:
        nonlocal stamps, configuration
        try:
            if (seen := _stamps(files)) != stamps:
                stamps = seen
                configuration = _configuration(read_tls(files, datetime.now(timezone.utc)))
                log.info("certificates were renewed: %s", files.cert)
        except (OSError, TlsError) as error:
            log.error("renewed certificates are not used: %s", error)
        return configuration  # and not None, "as before": a second port has no before

    return grpc.dynamic_ssl_server_credentials(configuration, present, require_client_authentication=True)


def peer_of(context: grpc.ServicerContext) -> Peer | None:
    """Who calls; None on a connection without TLS. PermissionDenied for a certificate that names nobody."""
    properties = context.auth_context()
    if properties.get("transport_security_type") == [b"insecure"]:
        return None
    uris = [uri.decode("utf-8", "replace") for uri in properties.get("peer_uri", [])]
    peers = [peer for peer in map(Peer.parse, uris) if peer is not None]
    if len(peers) != 1:
        raise PermissionDenied(
            f"the client certificate must have exactly one URI {SCHEME}://robot/NAME or {SCHEME}://admin/NAME among "
            f"its alternative names, it has {uris or 'none'}; make one with: python -m policy_server certs"
        )
    return peers[0]


def peer_name(context: grpc.ServicerContext) -> str | None:
    """The robot id in the caller's certificate; None without TLS. PermissionDenied if it is no robot's."""
    peer = peer_of(context)
    if peer is None:
        return None
    require(peer, Role.ROBOT)
    return peer.name


def require(peer: Peer, role: Role) -> None:
    """Raise PermissionDenied unless the peer has the role."""
    if peer.role is not role:
        raise PermissionDenied(
            f"this needs a certificate with the role {role.value} ({SCHEME}://{role.value}/NAME), yours is {peer.uri}; "
            f"make one with: python -m policy_server certs --{role.value} NAME"
        )


def _configuration(pem: Pem) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration([(pem.key, pem.certificate)], pem.ca)


def _stamps(files: TlsFiles) -> list[int]:
    try:
        return [path.stat().st_mtime_ns for path in (files.ca, files.cert, files.key)]
    except OSError as error:
        raise _unreadable(error.filename, error) from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path | str, error: OSError) -> TlsError:
    return TlsError(f"cannot read {path}: {error.strerror}; python -m policy_server certs makes it")


def _issued(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _check_dates(path: Path, certificate: x509.Certificate, now: datetime) -> None:
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if not begin <= now <= end:
        raise TlsError(f"{path} is valid from {begin:%Y-%m-%d} to {end:%Y-%m-%d} (UTC), now is {now:%Y-%m-%d %H:%M}")
    if end - now < _SOON:
        log.warning("%s expires on %s; python -m policy_server certs renews it", path, end.date())
