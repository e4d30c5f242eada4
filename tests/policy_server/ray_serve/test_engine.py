"""A real Ray Serve on this machine: two models, two replicas each, every session with the replica that opened it."""

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest
import ray
from policy_api import policy_pb2 as pb
from policy_api import policy_pb2_grpc
from policy_api.client import PolicyClient
from policy_api.errors import DeadlineExceeded, InvalidObservation, ServerUnavailable, UnknownModel, UnknownSession
from policy_api.images import encode_jpeg
from policy_api.schema import EncodedImage, Observation

from policy_server.front import Caller
from policy_server.ray_serve.calls import RayCalls
from policy_server.ray_serve.engine import RayConfig, RayEngine
from policy_server.server import PolicyServer, ServerConfig

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def motions(spec, tmp_path_factory):
    """A second model, of another contract."""
    folder = tmp_path_factory.mktemp("motions")
    (folder / "contract.json").write_text(spec.to_json())
    (folder / "motions.yaml").write_text("{contract: contract.json, motions: {rest: {kind: hold}}}")
    return f"scripted:{folder / 'motions.yaml'}#rest"


@pytest.fixture(scope="module")
def engine(motions):
    running = RayEngine(["scripted:hold", motions], RayConfig(replicas=2))
    yield running
    running.close()


@pytest.fixture(scope="module")
def server(engine):
    running = PolicyServer(engine.calls, ServerConfig("127.0.0.1:0"))
    yield running
    running.stop()


@pytest.fixture
def stub(server):
    with grpc.insecure_channel(server.address) as channel:
        yield policy_pb2_grpc.PolicyServiceStub(channel)


@pytest.fixture
def hold(server):
    """Open a session with the scripted policy, whose answer bears the gripper's opening of the observation."""
    clients = []

    def opened(robot_id="robot"):
        clients.append(PolicyClient(server.address, robot_id))
        clients[-1].open_session(model="scripted", timeout_s=30)
        return clients[-1]

    yield opened
    for client in clients:
        client.close()


def looks(gripper=0.02):
    """An observation for the scripted policy."""
    frame = EncodedImage("jpeg", 320, 240, encode_jpeg(np.zeros((240, 320, 3), np.uint8), 90), 0)
    return Observation(np.array([0, 1, -1, 0, 0, 0, gripper], np.float32), {"front": frame}, "hold", 0, 0)


def told(client, gripper):
    np.testing.assert_allclose(client.infer(looks(gripper), 30).actions[:, 3], gripper, atol=1e-6)


def opened_at(stub, robot_id="robot", model="scripted"):
    """A session of the bare service, and the name of the replica that holds it."""
    session = stub.OpenSession(pb.OpenSessionRequest(robot_id=robot_id, model=model), timeout=30)
    return session, session.session_id.split(".")[1]


def kill(session_id):
    """The process of the replica that holds the session dies."""
    app, replica, _ = session_id.split(".")
    ray.kill(ray.get_actor(f"SERVE_REPLICA::{app}#{app}#{replica}", namespace="serve"))


def test_two_models_are_served(server, stub, spec, observe):
    info = stub.GetServerInfo(pb.GetServerInfoRequest(), timeout=30)
    assert [found.model for found in info.specs] == ["scripted", "echo"]
    session, _ = opened_at(stub)
    assert (session.boot_id, session.spec.revision) == (info.boot_id, info.specs[0].revision)
    with PolicyClient(server.address, "robot") as client:
        assert client.open_session(spec.spec_hash, model="echo", timeout_s=30) == spec
        np.testing.assert_allclose(client.infer(observe(), 30).actions[:, 3], 0.03, atol=1e-6)
        with pytest.raises(UnknownModel, match="one of: echo, scripted"):
            client.open_session(model="pi0")


def test_eight_sessions_stay_with_their_replica_and_are_never_confused(hold):
    clients = [hold(f"robot-{i}") for i in range(8)]
    ready = threading.Barrier(8)

    def play(i):
        ready.wait(30)
        for round_number in range(25):
            if round_number == 12:
                clients[i].reset_session("next", timeout_s=30)
            told(clients[i], 0.001 + 0.008 * i + 0.0001 * round_number)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(play, range(8)))


def test_sessions_are_opened_in_turn(stub):
    assert sorted(Counter(opened_at(stub)[1] for _ in range(8)).values()) == [4, 4]


def test_state_of_a_session_is_kept_where_it_is(stub):
    session, _ = opened_at(stub)
    opened_at(stub)  # by the other replica
    request = pb.InferRequest(session_id=session.session_id, epoch=1, seq=5)
    with pytest.raises(grpc.RpcError) as error:
        stub.Infer(request, timeout=30)
    assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    with pytest.raises(grpc.RpcError, match="request 5 came after request 5") as error:
        stub.Infer(request, timeout=30)
    assert error.value.code() == grpc.StatusCode.ABORTED
    assert stub.ResetSession(pb.ResetSessionRequest(session_id=session.session_id), timeout=30).epoch == 2
    request.seq = 6
    with pytest.raises(grpc.RpcError, match="the session is in epoch 2"):
        stub.Infer(request, timeout=30)


def test_refusals_say_what_to_change_and_nothing_else(server, hold, stub):
    client = hold()
    with pytest.raises(DeadlineExceeded):
        client.infer(looks(), 0.0001)
    broken = looks()
    broken.images["front"] = EncodedImage("jpeg", 320, 240, b"\xff\xd8\xff", 0)
    with pytest.raises(InvalidObservation, match="camera 'front': not a whole JPEG") as refused:
        client.infer(broken, 30)
    assert "Traceback" not in str(refused.value)
    session, replica = opened_at(stub)
    for session_id in ("", "nobody", "a.b.c", session.session_id + "0", f"armature-policy-0.{replica}.x"):
        for call in (
            lambda name: stub.CloseSession(pb.CloseSessionRequest(session_id=name), timeout=30),
            lambda name: list(stub.Watch(pb.WatchRequest(session_id=name), timeout=30)),
        ):
            with pytest.raises(grpc.RpcError) as error:
                call(session_id)
            assert error.value.code() == grpc.StatusCode.NOT_FOUND
            assert "open a new session" in error.value.details()


def test_watch_ends_with_its_session(stub):
    session, _ = opened_at(stub)
    watch = stub.Watch(pb.WatchRequest(session_id=session.session_id), timeout=60)
    assert next(watch).WhichOneof("event") == "load"
    stub.CloseSession(pb.CloseSessionRequest(session_id=session.session_id), timeout=30)
    assert all(event.WhichOneof("event") == "load" for event in watch)


def test_death_of_a_replica_ends_its_sessions_and_no_others(stub, hold):
    others = {}
    while len(others) < 2:
        session, replica = opened_at(stub)
        others.setdefault(replica, session.session_id)
    dead, alive = list(others)
    watch = stub.Watch(pb.WatchRequest(session_id=others[dead]), timeout=60)
    assert next(watch).WhichOneof("event") == "load"
    clients = [hold(f"robot-{i}") for i in range(4)]
    for i, client in enumerate(clients):
        told(client, 0.01 + 0.01 * i)
    kill(others[dead])
    assert [event.WhichOneof("event") for event in watch][-1] == "revoked"
    outcomes = []
    for i, client in enumerate(clients):
        try:
            told(client, 0.01 + 0.01 * i)
            outcomes.append("answered")
        except UnknownSession:
            client.open_session(model="scripted", timeout_s=30)
            told(client, 0.01 + 0.01 * i)
            outcomes.append("opened anew")
    assert Counter(outcomes) == {"answered": 2, "opened anew": 2}
    stub.ResetSession(pb.ResetSessionRequest(session_id=others[alive]), timeout=30)
    with pytest.raises(grpc.RpcError) as error:
        stub.ResetSession(pb.ResetSessionRequest(session_id=others[dead]), timeout=30)
    assert error.value.code() == grpc.StatusCode.NOT_FOUND
    until = time.monotonic() + 120
    found = {alive}
    while found == {alive}:  # Ray starts another
        assert time.monotonic() < until, "no other replica within two minutes"
        session, replica = opened_at(stub)
        stub.CloseSession(pb.CloseSessionRequest(session_id=session.session_id), timeout=30)
        found.add(replica)
        time.sleep(0.2)
    assert dead not in found


def test_drain_tells_those_that_watch(engine, stub):
    calls = RayCalls(list(engine.calls._by_name.values()))
    second = PolicyServer(calls, ServerConfig("127.0.0.1:0"))
    with grpc.insecure_channel(second.address) as channel:
        there = policy_pb2_grpc.PolicyServiceStub(channel)
        session, _ = opened_at(there)
        watch = there.Watch(pb.WatchRequest(session_id=session.session_id), timeout=60)
        assert next(watch).WhichOneof("event") == "load"
        second.stop()
        with pytest.raises(ServerUnavailable, match="about to stop"):
            calls.open_session(pb.OpenSessionRequest(), Caller(None, 0, 0, lambda: True))
        assert [event.WhichOneof("event") for event in watch][-1] == "draining"
