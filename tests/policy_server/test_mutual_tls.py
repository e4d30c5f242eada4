from datetime import datetime, timezone

import grpc
import pytest
from policy_api import policy_pb2 as pb
from policy_api import policy_pb2_grpc
from policy_api.channel import TlsFiles
from policy_api.client import PolicyClient
from policy_api.errors import PermissionDenied, ServerUnavailable, UnknownSession

from policy_server.certificates import make
from policy_server.denied import Denied
from policy_server.security import server_credentials
from policy_server.server import AdminConfig


class NoRevisions(policy_pb2_grpc.PolicyAdminServicer):
    def ListRevisions(self, request, context):  # noqa: N802 - named by the proto
        return pb.ListRevisionsResponse()


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lab") / "certs"
    make(folder, ["arm-1", "arm-2"], [], [], datetime.now(timezone.utc))
    return folder


@pytest.fixture
def secure(start, lab):
    """A server that asks for certificates at both of its ports."""
    credentials = server_credentials(TlsFiles.of(lab / "server"))
    return start(credentials=credentials, admin=AdminConfig(NoRevisions(), "127.0.0.1:0", credentials))


@pytest.fixture
def connect(lab, secure):
    clients = []

    def as_robot(certificate, robot_id):
        clients.append(PolicyClient(secure.address, robot_id, credentials=TlsFiles.of(lab / "robots" / certificate)))
        return clients[-1]

    yield as_robot
    for client in clients:
        client.close()


def list_revisions(lab, place, address):
    files = TlsFiles.of(lab / place)
    pem = [path.read_bytes() for path in (files.ca, files.key, files.cert)]
    with grpc.secure_channel(address, grpc.ssl_channel_credentials(*pem)) as channel:
        return policy_pb2_grpc.PolicyAdminStub(channel).ListRevisions(pb.ListRevisionsRequest(), timeout=20)


def test_a_robot_is_served(connect, spec, observe):
    robot = connect("arm-1", "arm-1")
    assert robot.open_session(spec.spec_hash) == spec
    assert robot.infer(observe(), 20).actions.shape == (8, 4)
    robot.reset_session("episode 2")
    robot.infer(observe(), 20)


def test_a_robot_cannot_call_itself_another(connect):
    with pytest.raises(PermissionDenied, match="robot_id is 'arm-2', your certificate says 'arm-1'"):
        connect("arm-1", "arm-2").open_session()


def test_a_robot_cannot_use_anothers_session(connect, lab, secure, observe):
    victim = connect("arm-1", "arm-1")
    victim.open_session()
    stolen = victim.session.session_id
    files = TlsFiles.of(lab / "robots" / "arm-2")
    pem = [path.read_bytes() for path in (files.ca, files.key, files.cert)]
    with grpc.secure_channel(secure.address, grpc.ssl_channel_credentials(*pem)) as channel:
        stub = policy_pb2_grpc.PolicyServiceStub(channel)
        for call in (
            lambda: stub.Infer(pb.InferRequest(session_id=stolen, epoch=1, seq=99), timeout=20),
            lambda: stub.ResetSession(pb.ResetSessionRequest(session_id=stolen), timeout=20),
            lambda: stub.CloseSession(pb.CloseSessionRequest(session_id=stolen), timeout=20),
            lambda: list(stub.Watch(pb.WatchRequest(session_id=stolen), timeout=20)),
        ):
            with pytest.raises(grpc.RpcError) as error:
                call()
            assert error.value.code() is grpc.StatusCode.PERMISSION_DENIED
            assert "opened by 'arm-1', your certificate says 'arm-2'" in error.value.details()
    victim.infer(observe(), 20)  # none of that has touched it
    victim.close()
    with pytest.raises(UnknownSession):
        victim.infer(observe(), 20)


def test_strangers_do_not_get_in(secure, lab, tmp_path):
    make(tmp_path / "elsewhere", ["arm-1"], [], [], datetime.now(timezone.utc))
    stranger = TlsFiles.of(tmp_path / "elsewhere" / "robots" / "arm-1")
    mixed = TlsFiles(lab / "ca.pem", stranger.cert, stranger.key)
    for credentials in (stranger, mixed, None):
        with (
            PolicyClient(secure.address, "arm-1", credentials=credentials) as client,
            pytest.raises(ServerUnavailable),
        ):
            client.open_session(timeout_s=20)


def test_only_administrators_reach_the_admin_port(secure, lab):
    list_revisions(lab, "admins/admin", secure.admin_address)
    with pytest.raises(grpc.RpcError) as error:
        list_revisions(lab, "robots/arm-1", secure.admin_address)
    assert error.value.code() is grpc.StatusCode.PERMISSION_DENIED
    assert "needs a certificate with the role admin (armature://admin/NAME)" in error.value.details()
    with pytest.raises(grpc.RpcError) as error:
        list_revisions(lab, "admins/admin", secure.address)
    assert error.value.code() is grpc.StatusCode.UNIMPLEMENTED  # the robots' port does not know the service


def test_an_administrator_is_no_robot(secure, lab):
    admin = TlsFiles.of(lab / "admins" / "admin")
    with (
        PolicyClient(secure.address, "admin", credentials=admin) as client,
        pytest.raises(PermissionDenied, match="role robot"),
    ):
        client.open_session()


def test_who_is_denied_does_not_get_in(start, lab, observe, tmp_path):
    credentials = server_credentials(TlsFiles.of(lab / "server"))
    file = tmp_path / "denied.txt"
    server = start(
        credentials=credentials, admin=AdminConfig(NoRevisions(), "127.0.0.1:0", credentials), denied=Denied(file)
    )
    files = {name: TlsFiles.of(lab / "robots" / name) for name in ("arm-1", "arm-2")}
    with (
        PolicyClient(server.address, "arm-1", credentials=files["arm-1"]) as stolen,
        PolicyClient(server.address, "arm-2", credentials=files["arm-2"]) as good,
    ):
        for robot in (stolen, good):
            robot.open_session()
            robot.infer(observe(), 20)
        file.write_text("armature://robot/arm-1  # stolen\narmature://admin/admin\n")
        with pytest.raises(PermissionDenied, match="armature://robot/arm-1 is denied by this server"):
            stolen.infer(observe(), 20)
        good.infer(observe(), 20)
        with pytest.raises(grpc.RpcError) as error:
            list_revisions(lab, "admins/admin", server.admin_address)
        assert error.value.code() is grpc.StatusCode.PERMISSION_DENIED


def test_the_admin_port_is_never_in_the_open(start, lab):
    credentials = server_credentials(TlsFiles.of(lab / "server"))
    with pytest.raises(ValueError, match=r"refusing to listen on '0.0.0.0:0'"):
        start(credentials=credentials, insecure_bind=True, admin=AdminConfig(NoRevisions(), "0.0.0.0:0"))
