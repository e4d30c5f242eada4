import logging
import os
import socket
import ssl
from concurrent import futures
from datetime import datetime, timedelta, timezone

import grpc
import pytest
from cryptography import x509
from policy_api.channel import TlsFiles
from policy_api.errors import PolicyApiError

from policy_server.authority import LEAF_DAYS, Authority
from policy_server.certificates import make
from policy_server.security import (
    Peer,
    Role,
    TlsError,
    check_bind,
    is_private,
    peer_name,
    peer_of,
    read_tls,
    require,
    server_credentials,
)

NOW = datetime.now(timezone.utc)
WHO, ADMIN = "/test/Who", "/test/Admin"


class Answers(grpc.GenericRpcHandler):
    """Says who calls, with the functions under test; errors become the answer's text."""

    def service(self, details):
        def who(request, context):
            try:
                if details.method == ADMIN:
                    peer = peer_of(context)
                    require(peer, Role.ADMIN)
                    return peer.uri.encode()
                return repr(peer_name(context)).encode()
            except PolicyApiError as error:
                context.abort(grpc.StatusCode.PERMISSION_DENIED, str(error))

        return grpc.unary_unary_rpc_method_handler(who)


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lab") / "certs"
    make(folder, ["arm-1", "arm-2"], [], [], NOW)
    return folder


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory):
    folder = tmp_path_factory.mktemp("elsewhere") / "certs"
    make(folder, ["arm-1"], [], [], NOW)
    return folder


@pytest.fixture
def serve():
    servers = []

    def start(credentials):
        server = grpc.server(futures.ThreadPoolExecutor(2), handlers=(Answers(),))
        servers.append(server)
        if credentials is None:
            port = server.add_insecure_port("127.0.0.1:0")
        else:
            port = server.add_secure_port("127.0.0.1:0", credentials)
        server.start()
        return f"127.0.0.1:{port}"

    yield start
    for server in servers:
        server.stop(None)


def call(address, folder=None, trust=None, method=WHO):
    """The answer, or (status, text). `trust`: a folder whose authority is believed; `folder`: what is shown."""
    shown = (None, None) if folder is None else (TlsFiles.of(folder).key, TlsFiles.of(folder).cert)
    pair = [None if path is None else path.read_bytes() for path in shown]
    credentials = grpc.ssl_channel_credentials((trust / "ca.pem").read_bytes(), *pair)
    with grpc.secure_channel(address, credentials, [("grpc.use_local_subchannel_pool", 1)]) as channel:
        try:
            return channel.unary_unary(method)(b"", timeout=20).decode()
        except grpc.RpcError as error:
            return error.code(), error.details()


def test_names_come_from_the_certificate(lab, serve):
    address = serve(server_credentials(TlsFiles.of(lab / "server")))
    assert call(address, lab / "robots" / "arm-1", lab) == "'arm-1'"
    assert call(address, lab / "robots" / "arm-2", lab) == "'arm-2'"


def test_roles_are_separate(lab, serve):
    address = serve(server_credentials(TlsFiles.of(lab / "server")))
    assert call(address, lab / "admins" / "admin", lab, ADMIN) == "armature://admin/admin"
    code, text = call(address, lab / "robots" / "arm-1", lab, ADMIN)
    assert code is grpc.StatusCode.PERMISSION_DENIED
    assert "needs a certificate with the role admin" in text
    assert "yours is armature://robot/arm-1" in text
    code, text = call(address, lab / "admins" / "admin", lab)
    assert code is grpc.StatusCode.PERMISSION_DENIED
    assert "needs a certificate with the role robot" in text


def test_strangers_do_not_get_in(lab, elsewhere, serve):
    address = serve(server_credentials(TlsFiles.of(lab / "server")))
    for shown, trust in (
        (None, lab),  # no certificate
        (elsewhere / "robots" / "arm-1", lab),  # of another authority
        (lab / "robots" / "arm-1", elsewhere),  # the server is a stranger to the robot
        (lab / "server", lab),  # a server's certificate is no client's
    ):
        code, _ = call(address, shown, trust)
        assert code is grpc.StatusCode.UNAVAILABLE, (shown, trust)
    with grpc.insecure_channel(address) as channel, pytest.raises(grpc.RpcError) as error:
        channel.unary_unary(WHO)(b"", timeout=20)
    assert error.value.code() is grpc.StatusCode.UNAVAILABLE


def test_expired_robot_does_not_get_in(lab, serve, tmp_path):
    old = tmp_path / "certs"
    old.mkdir()
    for name in ("ca.pem", "ca.key"):
        (old / name).write_bytes((lab / name).read_bytes())
        (old / name).chmod(0o600)
    signer = Authority.open(old, NOW)
    uri = [x509.UniformResourceIdentifier("armature://robot/arm-1")]
    signer.ensure("robots/arm-1", "arm-1", uri, server=False, now=NOW - timedelta(days=LEAF_DAYS, minutes=1))
    address = serve(server_credentials(TlsFiles.of(lab / "server")))
    code, _ = call(address, old / "robots" / "arm-1", lab)
    assert code is grpc.StatusCode.UNAVAILABLE


def test_a_certificate_without_a_name_is_told_what_is_needed(lab, serve):
    signer = Authority.open(lab, NOW)
    signer.ensure("nameless", "arm-1", [x509.DNSName("arm-1")], server=False, now=NOW)
    two = [x509.UniformResourceIdentifier(f"armature://{role}/x") for role in ("robot", "admin")]
    signer.ensure("double", "x", two, server=False, now=NOW)
    address = serve(server_credentials(TlsFiles.of(lab / "server")))
    for folder in ("nameless", "double"):
        code, text = call(address, lab / folder, lab)
        assert code is grpc.StatusCode.PERMISSION_DENIED
        assert "exactly one URI armature://robot/NAME" in text


def test_renewed_certificates_are_used_without_a_restart(tmp_path, serve, caplog):
    folder = tmp_path / "certs"
    make(folder, ["arm"], [], [], NOW)
    address = serve(server_credentials(TlsFiles.of(folder / "server")))
    assert call(address, folder / "robots" / "arm", folder) == "'arm'"
    before = (folder / "server" / "cert.pem").read_bytes()
    with caplog.at_level(logging.INFO):
        make(folder, [], [], ["new.lab"], NOW)
        assert (folder / "server" / "cert.pem").read_bytes() != before
        assert call(address, folder / "robots" / "arm", folder) == "'arm'"
    assert "certificates were renewed" in caplog.text
    host, port = address.split(":")
    assert b"new.lab" in _served_certificate(folder, host, int(port))
    (folder / "server" / "cert.pem").write_text("nonsense")
    with caplog.at_level(logging.INFO):
        assert call(address, folder / "robots" / "arm", folder) == "'arm'"
    assert "renewed certificates are not used" in caplog.text


def _served_certificate(folder, host, port):
    context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    robot = TlsFiles.of(folder / "robots" / "arm")
    context.load_cert_chain(robot.cert, robot.key)
    with socket.create_connection((host, port), 20) as plain, context.wrap_socket(plain, server_hostname=host) as tls:
        return tls.getpeercert(binary_form=True)


def test_plaintext_has_no_names(serve):
    with grpc.insecure_channel(serve(None)) as channel:
        assert channel.unary_unary(WHO)(b"", timeout=20) == b"None"


@pytest.mark.parametrize(
    "address", ["127.0.0.1:1", "127.8.9.1:1", "[::1]:1", "localhost:0", "unix:/tmp/x", "unix:///x"]
)
def test_this_machine_may_be_plaintext(address):
    assert is_private(address)
    check_bind(address, tls=False)


@pytest.mark.parametrize(
    "address", ["0.0.0.0:1", "[::]:1", "192.168.1.4:1", "*:1", "example.org:1", "127.1:1", "localhost.evil.org:1"]
)
def test_a_network_needs_tls(address, caplog):
    with pytest.raises(ValueError, match=r"refusing to listen on.*not be encrypted.*--tls DIR.*certs --out"):
        check_bind(address, tls=False)
    check_bind(address, tls=True)
    assert not caplog.records
    check_bind(address, tls=False, insecure_bind=True)
    assert "INSECURE" in caplog.text
    assert "act as any robot" in caplog.text


@pytest.mark.parametrize("address", ["", "127.0.0.1", ":50051", "host:", "host:x", "host:70000", "unix:", "unix:///"])
def test_an_address_must_be_one(address):
    for tls in (False, True):
        with pytest.raises(ValueError, match=r"is not host:port|names no socket"):
            check_bind(address, tls=tls, insecure_bind=True)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_keys_that_others_can_read_are_refused(tmp_path, mode):
    make(tmp_path / "c", [], [], [], NOW)
    files = TlsFiles.of(tmp_path / "c" / "server")
    os.chmod(files.key, mode)
    with pytest.raises(TlsError, match=r"run: chmod 600 .*key.pem"):
        server_credentials(files)


def test_files_that_cannot_work_are_named(lab, elsewhere, tmp_path):
    good = TlsFiles.of(lab / "server")
    other = TlsFiles.of(elsewhere / "server")
    nonsense = tmp_path / "nonsense.pem"
    nonsense.write_text("-----BEGIN NONSENSE-----")
    nonsense.chmod(0o600)
    for files, words in (
        (TlsFiles(tmp_path / "none", good.cert, good.key), "cannot read .*none: No such file"),
        (TlsFiles(good.ca, good.cert, other.key), "is not the key of"),
        (TlsFiles(other.ca, good.cert, good.key), "was not issued by the authority"),
        (TlsFiles(good.ca, good.cert, nonsense), "must be PEM"),
        (TlsFiles(nonsense, good.cert, good.key), "must be PEM"),
    ):
        with pytest.raises(TlsError, match=words):
            read_tls(files, NOW)


def test_dates_are_checked(lab, caplog):
    files = TlsFiles.of(lab / "server")
    for days in (-2, LEAF_DAYS + 1):
        with pytest.raises(TlsError, match=r"cert.pem is valid from .* to .*, now is"):
            read_tls(files, NOW + timedelta(days=days))
    read_tls(files, NOW + timedelta(days=LEAF_DAYS - 40))
    assert not caplog.records
    read_tls(files, NOW + timedelta(days=LEAF_DAYS - 20))
    assert "expires on" in caplog.text


@pytest.mark.parametrize(
    "uri",
    [
        "armature://robot/",
        "armature://robot/a/b",
        "armature://boss/a",
        "armature://ROBOT/a",
        "x://robot/a",
        "robot/a",
        "",
    ],
)
def test_other_uris_name_nobody(uri):
    assert Peer.parse(uri) is None


def test_a_peer_is_its_uri():
    for role in Role:
        assert Peer.parse(Peer(role, "arm_1.b-c").uri) == Peer(role, "arm_1.b-c")
