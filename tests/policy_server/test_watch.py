import threading
import time

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from policy_api import policy_pb2 as pb
from policy_api import policy_pb2_grpc

from policy_server.server import AdminConfig
from policy_server.sessions import SessionTable

Code = grpc.StatusCode


def opened(stub, **fields):
    return stub.OpenSession(pb.OpenSessionRequest(robot_id="r", **fields), timeout=5)


def watch(stub, session):
    return stub.Watch(pb.WatchRequest(session_id=session.session_id), timeout=60)


def test_load_comes_by_itself(stub):
    events = watch(stub, opened(stub))
    event = next(events)
    assert event.WhichOneof("event") == "load"
    assert event.load.busy == 0.0
    assert event.load.p95_infer_us > 0
    events.cancel()


def test_watch_ends_with_the_session(server, stub):
    session = opened(stub)
    events = watch(stub, session)
    until(lambda: server._calls._events.watched())
    stub.CloseSession(pb.CloseSessionRequest(session_id=session.session_id), timeout=5)
    assert [event for event in events if event.WhichOneof("event") != "load"] == []


def test_robot_learns_that_its_lease_is_over(start):
    server = start(sessions=SessionTable(lease_ns=500_000_000))
    with grpc.insecure_channel(server.address) as channel:
        stub = policy_pb2_grpc.PolicyServiceStub(channel)
        *_, last = watch(stub, opened(stub))
    assert last.revoked.reason == "the session was silent for more than 0.5 s"


def test_watch_of_an_unknown_session(stub):
    with pytest.raises(grpc.RpcError) as error:
        next(stub.Watch(pb.WatchRequest(session_id="nobody"), timeout=5))
    assert error.value.code() == Code.NOT_FOUND
    assert "open a new session" in error.value.details()


def until(condition):
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_robots_that_go_away_leave_no_watcher(server, stub):
    bus = server._calls._events
    streams = [watch(stub, opened(stub)) for _ in range(10)]
    until(lambda: len(bus.watched()) == 10)
    for stream in streams:
        stream.cancel()
    until(lambda: bus.watched() == [])


def test_drain_is_told_before_the_server_stops(start, stub, server):
    events = watch(stub, opened(stub))
    until(lambda: server._calls._events.watched())
    stopping = threading.Thread(target=server.stop)
    stopping.start()
    *_, last = events
    assert last.draining.grace_ms == 1000
    with pytest.raises(grpc.RpcError) as error:
        opened(stub)
    assert error.value.code() == Code.UNAVAILABLE
    stopping.join(20)


class Admin(policy_pb2_grpc.PolicyAdminServicer):
    def ListRevisions(self, request, context):  # noqa: N802 - named by the proto
        return pb.ListRevisionsResponse(revisions=[pb.RevisionStatus(sessions=3)])


def test_admin_has_its_own_port(start):
    server = start(admin=AdminConfig(Admin(), "127.0.0.1:0"))
    assert server.admin_address != server.address
    with grpc.insecure_channel(server.admin_address) as channel:
        admin = policy_pb2_grpc.PolicyAdminStub(channel)
        assert admin.ListRevisions(pb.ListRevisionsRequest(), timeout=5).revisions[0].sessions == 3
        with pytest.raises(grpc.RpcError) as error:
            opened(policy_pb2_grpc.PolicyServiceStub(channel))
        assert error.value.code() == Code.UNIMPLEMENTED
    with grpc.insecure_channel(server.address) as channel, pytest.raises(grpc.RpcError) as error:
        policy_pb2_grpc.PolicyAdminStub(channel).ListRevisions(pb.ListRevisionsRequest(), timeout=5)
    assert error.value.code() == Code.UNIMPLEMENTED


def test_admin_port_is_never_open_to_the_network_without_certificates(start):
    with pytest.raises(ValueError, match=r"refusing to listen on '0.0.0.0:0'"):
        start(admin=AdminConfig(Admin(), "0.0.0.0:0"), insecure_bind=True)


def test_health_knows_every_model(server):
    with grpc.insecure_channel(server.address) as channel:
        check = health_pb2_grpc.HealthStub(channel).Check
        assert check(health_pb2.HealthCheckRequest(service="echo"), timeout=5).status == 1
        with pytest.raises(grpc.RpcError) as error:
            check(health_pb2.HealthCheckRequest(service="other"), timeout=5)
        assert error.value.code() == Code.NOT_FOUND
