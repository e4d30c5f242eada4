import pickle  # only to make bytes that must be refused
import threading
from concurrent import futures
from datetime import datetime, timezone

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from policy_api import policy_pb2 as pb
from policy_api import policy_pb2_grpc
from policy_api.channel import TlsFiles
from policy_api.errors import Superseded

from policy_server.answering import answering
from policy_server.certificates import make
from policy_server.guard import CallGuard
from policy_server.security import server_credentials

POLICY = "/policy_api.v1.PolicyService/"
ADMIN = "/policy_api.v1.PolicyAdmin/"


class Policies(policy_pb2_grpc.PolicyServiceServicer):
    def GetServerInfo(self, request, context):  # noqa: N802 - named by the proto
        return pb.ServerInfo(server_version="1")

    def Infer(self, request, context):  # noqa: N802 - named by the proto
        with answering(context):
            raise Superseded("superseded by request 7")

    def Watch(self, request, context):  # noqa: N802 - named by the proto
        for busy in (0.25, 0.5):
            yield pb.SessionEvent(load=pb.Load(busy=busy))


class Admins(policy_pb2_grpc.PolicyAdminServicer):
    def ListRevisions(self, request, context):  # noqa: N802 - named by the proto
        return pb.ListRevisionsResponse()

    def LoadRevision(self, request, context):  # noqa: N802 - named by the proto
        yield pb.LoadProgress(fraction=1.0)


class Told:
    """An observer that remembers, and can be waited for."""

    def __init__(self):
        self.calls, self.changed = [], threading.Condition()

    def call(self, call):
        with self.changed:
            self.calls.append(call)
            self.changed.notify_all()

    def chunk(self, chunk):
        raise AssertionError("the guard knows of no chunks")

    def wait(self, number):
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.calls) >= number, 20)
            return [(call.method, call.status, call.error) for call in self.calls]


@pytest.fixture
def told():
    return Told()


@pytest.fixture
def start(told):
    servers = []

    def run(credentials=None):
        server = grpc.server(futures.ThreadPoolExecutor(4), interceptors=[CallGuard(told)])
        servers.append(server)
        policy_pb2_grpc.add_PolicyServiceServicer_to_server(Policies(), server)
        policy_pb2_grpc.add_PolicyAdminServicer_to_server(Admins(), server)
        healthy = health.HealthServicer(
            experimental_non_blocking=True, experimental_thread_pool=futures.ThreadPoolExecutor(1)
        )
        health_pb2_grpc.add_HealthServicer_to_server(healthy, server)
        place = "127.0.0.1:0"
        port = server.add_secure_port(place, credentials) if credentials else server.add_insecure_port(place)
        server.start()
        return f"127.0.0.1:{port}"

    yield run
    for server in servers:
        server.stop(None)


@pytest.fixture
def channel(start):
    with grpc.insecure_channel(start()) as connected:
        yield connected


def status(call):
    with pytest.raises(grpc.RpcError) as error:
        call()
    return error.value.code(), error.value.details()


def test_calls_pass_and_are_told(channel, told):
    stub = policy_pb2_grpc.PolicyServiceStub(channel)
    assert stub.GetServerInfo(pb.GetServerInfoRequest(), timeout=20).server_version == "1"
    assert [event.load.busy for event in stub.Watch(pb.WatchRequest(), timeout=20)] == [0.25, 0.5]
    assert status(lambda: stub.Infer(pb.InferRequest(), timeout=20)) == (
        grpc.StatusCode.ABORTED,
        "superseded by request 7",
    )
    assert status(lambda: stub.CloseSession(pb.CloseSessionRequest(), timeout=20))[0] is grpc.StatusCode.UNIMPLEMENTED
    assert sorted(told.wait(4)) == [
        ("PolicyService/CloseSession", "UNIMPLEMENTED", ""),
        ("PolicyService/GetServerInfo", "OK", ""),
        ("PolicyService/Infer", "ABORTED", "Superseded"),
        ("PolicyService/Watch", "OK", ""),
    ]
    assert all(call.took_ns > 0 for call in told.calls)


@pytest.mark.parametrize("data", [b"\xff", b"\x0a\xff\xff\xff\xff\x0f", pickle.dumps({"a": 1}), b"\x0a\x02\xc3\x28"])
@pytest.mark.parametrize(
    "method", [POLICY + "Infer", POLICY + "Watch", ADMIN + "LoadRevision", "/grpc.health.v1.Health/Check"]
)
def test_damaged_messages_are_invalid_arguments(channel, told, method, data):
    streams = method.endswith(("Watch", "LoadRevision"))
    call = (channel.unary_stream if streams else channel.unary_unary)(method)
    code, text = status(lambda: list(call(data, timeout=20)))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert text.startswith(f"{len(data)} bytes are no request of {method[1:]}")
    assert "Traceback" not in text
    assert told.wait(1)[0][1:] == ("INVALID_ARGUMENT", "InvalidMessage")


def test_health_is_served_as_ever(channel):
    stub = health_pb2_grpc.HealthStub(channel)
    assert stub.Check(health_pb2.HealthCheckRequest(), timeout=20).status == health_pb2.HealthCheckResponse.SERVING
    watch = stub.Watch(health_pb2.HealthCheckRequest(), timeout=20)
    assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
    watch.cancel()


def test_unknown_methods_are_unimplemented(channel):
    assert status(lambda: channel.unary_unary(POLICY + "Nothing")(b"", timeout=20))[0] is grpc.StatusCode.UNIMPLEMENTED


def test_roles(start, tmp_path):
    folder = tmp_path / "certs"
    make(folder, ["arm"], [], [], datetime.now(timezone.utc))
    address = start(server_credentials(TlsFiles.of(folder / "server")))

    def connect(place):
        files = TlsFiles.of(folder / place)
        pem = [path.read_bytes() for path in (files.ca, files.key, files.cert)]
        return grpc.secure_channel(address, grpc.ssl_channel_credentials(*pem), [("grpc.use_local_subchannel_pool", 1)])

    info, revisions = pb.GetServerInfoRequest(), pb.ListRevisionsRequest()
    with connect("robots/arm") as channel:
        robot, admin = policy_pb2_grpc.PolicyServiceStub(channel), policy_pb2_grpc.PolicyAdminStub(channel)
        assert robot.GetServerInfo(info, timeout=20).server_version == "1"
        for call in (
            lambda: admin.ListRevisions(revisions, timeout=20),
            lambda: list(admin.LoadRevision(pb.LoadRevisionRequest(), timeout=20)),
        ):
            code, text = status(call)
            assert code is grpc.StatusCode.PERMISSION_DENIED
            assert "role admin" in text
            assert "certs --admin NAME" in text
        health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=20)
    with connect("admins/admin") as channel:
        robot, admin = policy_pb2_grpc.PolicyServiceStub(channel), policy_pb2_grpc.PolicyAdminStub(channel)
        admin.ListRevisions(revisions, timeout=20)
        assert [progress.fraction for progress in admin.LoadRevision(pb.LoadRevisionRequest(), timeout=20)] == [1.0]
        assert status(lambda: robot.GetServerInfo(info, timeout=20))[0] is grpc.StatusCode.PERMISSION_DENIED
