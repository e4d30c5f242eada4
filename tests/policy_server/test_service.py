import pickle  # only to make bytes that must be refused
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from policy_api import policy_pb2 as pb
from policy_api import serde
from policy_api.client import PolicyClient
from policy_api.errors import (
    ContractMismatch,
    DeadlineExceeded,
    InvalidObservation,
    ServerBusy,
    ServerFault,
    StaleRequest,
    UnknownSession,
)
from policy_api.images import encode_jpeg

from policy_server.server import SERVICE_NAME
from policy_server.sessions import SessionTable

Code = grpc.StatusCode


def refused(call, code, *words):
    """The text with which a call is refused; it must have the status and hold the words, and no traceback."""
    with pytest.raises(grpc.RpcError) as error:
        call()
    text = error.value.details()
    assert error.value.code() == code, text
    for word in words:
        assert word in text, text
    assert "Traceback" not in text
    assert "secret" not in text


@pytest.fixture
def request_of(stub, observe):
    """A request that the server would answer, in a session of its own."""
    session = stub.OpenSession(pb.OpenSessionRequest(robot_id="raw"), timeout=5)
    request = serde.observation_to_proto(observe())
    request.session_id, request.epoch, request.seq = session.session_id, session.epoch, 1
    return request


def test_answer_belongs_to_the_observation(client, spec, observe):
    assert client.open_session(spec.spec_hash, expect_spec=spec) == spec
    chunk = client.infer(observe(joint1=-1.5, rgb=(255, 0, 0), instruction="x" * 21, step=77), 5)
    assert chunk.actions.shape == (8, 4)
    assert chunk.actions.dtype == np.float32
    np.testing.assert_allclose(chunk.actions[3], [-0.015, 0.05, 0.0, 0.021], atol=1e-3)
    assert (chunk.first_step, chunk.observation_ns, chunk.dt_ns) == (77, 1077, 100_000_000)
    assert chunk.revision == "e" * 64
    assert chunk.timing.decode_us > 0
    assert chunk.timing.infer_us > 0


def test_every_codec_is_served(client, spec, observe):
    client.open_session()
    rgb = np.full((240, 320, 3), (255, 0, 128), np.uint8)
    observation = observe()
    front = replace(observation.images["front"], codec="rgb8", data=rgb.tobytes())
    chunk = client.infer(replace(observation, images={**observation.images, "front": front}), 5)
    np.testing.assert_allclose(chunk.actions[0, 1:3], [0.05, 128 / 255 * 0.05], rtol=1e-5)


def test_server_info(client, server, spec):
    info = client.server_info()
    assert info.spec == spec
    assert info.revision == "e" * 64
    assert info.api_versions == ("v1",)
    assert info.max_message_bytes == 8 * 1024 * 1024
    assert info.boot_id == client.server_info().boot_id


def test_session_resets_and_closes(client, observe):
    client.open_session()
    client.infer(observe(), 5)
    client.reset_session("episode 2")
    client.infer(observe(), 5)
    client.open_session()  # closes the one before
    client.infer(observe(), 5)
    client.close()
    with pytest.raises(UnknownSession, match="open_session first"):
        client.infer(observe(), 5)


def test_wrong_contract_is_refused_by_field(client, stub, spec):
    other = replace(spec, cameras=(spec.cameras[0], replace(spec.cameras[1], jpeg_quality=70)))
    with pytest.raises(ContractMismatch, match=r"cameras\[1\].jpeg_quality: 70 against 90"):
        client.open_session(other.spec_hash, expect_spec=other)
    with pytest.raises(ContractMismatch, match=f"expects {other.spec_hash}.*has {spec.spec_hash}"):
        client.open_session(other.spec_hash)
    refused(
        lambda: stub.OpenSession(pb.OpenSessionRequest(expect_spec_hash="abc"), timeout=5),
        Code.FAILED_PRECONDITION,
        "expects abc",
        "GetServerInfo",
    )
    nonsense = pb.OpenSessionRequest(expect_spec=pb.PolicySpec(model="m"))
    refused(lambda: stub.OpenSession(nonsense, timeout=5), Code.FAILED_PRECONDITION, "action_space")
    client.open_session(spec.spec_hash)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda r: r.state["state"].CopyFrom(serde.tensor_to_proto(np.zeros(6, np.float32))), ["(6,)", "(7,)"]),
        (
            lambda r: r.state["state"].CopyFrom(serde.tensor_to_proto(np.full(7, np.nan, np.float32))),
            ["state.joint1 is nan"],
        ),
        (lambda r: setattr(r.state["state"], "data", pickle.dumps([0.0] * 7)), ["28 bytes"]),
        (lambda r: r.state.clear(), ["'state'"]),
        (lambda r: r.images.pop(), ["camera 'wrist' is missing"]),
        (lambda r: setattr(r.images[0], "name", "side"), ["camera 'front' is missing"]),
        (lambda r: setattr(r.images[0], "width", 640), ["640x240", "320x240"]),
        (lambda r: setattr(r.images[0], "codec", 0), ["codec 0"]),
        (lambda r: setattr(r.images[0], "data", r.images[0].data[:200]), ["'front'", "JPEG"]),
        (lambda r: setattr(r.images[1], "data", pickle.dumps({"a": 1})), ["'wrist'", "JPEG"]),
        (
            lambda r: setattr(r.images[1], "data", encode_jpeg(np.zeros((96, 96, 3), np.uint8), 90)),
            ["'wrist'", "holds 96x96"],
        ),
        (lambda r: setattr(r, "task", ""), ["instruction is empty"]),
    ],
)
def test_bad_observation_is_refused(stub, policy, request_of, spoil, words):
    spoil(request_of)
    refused(lambda: stub.Infer(request_of, timeout=5), Code.INVALID_ARGUMENT, *words)
    assert policy.instructions == []


def test_client_refuses_before_sending(client, policy, observe):
    client.open_session()
    with pytest.raises(InvalidObservation, match="joint1 is nan"):
        client.infer(observe(joint1=np.nan), 5)
    assert policy.instructions == []


def test_unknown_session(stub, request_of, client, observe):
    request_of.session_id = "nobody"
    calls = [
        lambda: stub.Infer(request_of, timeout=5),
        lambda: stub.ResetSession(pb.ResetSessionRequest(session_id="nobody"), timeout=5),
        lambda: stub.CloseSession(pb.CloseSessionRequest(session_id="nobody"), timeout=5),
    ]
    for call in calls:
        refused(call, Code.NOT_FOUND, "'nobody'", "open a new session")


def test_long_names_do_not_hide_the_refusal(stub, request_of):
    request_of.images[0].name = "x" * 100_000
    refused(lambda: stub.Infer(request_of, timeout=5), Code.INVALID_ARGUMENT, "camera 'front' is missing")
    request_of.session_id = "x" * 100_000
    refused(lambda: stub.Infer(request_of, timeout=5), Code.NOT_FOUND, "session 'xxx")


def test_expired_session_can_be_opened_again(start, observe):
    server = start(sessions=SessionTable(lease_ns=500_000_000))
    with PolicyClient(server.address, "robot") as client:
        client.open_session()
        client.infer(observe(), 5)
        time.sleep(0.7)
        with pytest.raises(UnknownSession, match=r"silent for longer than its lease.*open a new session"):
            client.infer(observe(), 5)
        client.open_session()
        client.infer(observe(), 5)


def test_requests_out_of_order_are_aborted(stub, request_of):
    request_of.seq = 5
    stub.Infer(request_of, timeout=5)
    for seq in (5, 2):
        request_of.seq = seq
        refused(lambda: stub.Infer(request_of, timeout=5), Code.ABORTED, f"request {seq}", "request 5")
    stub.ResetSession(pb.ResetSessionRequest(session_id=request_of.session_id), timeout=5)
    request_of.seq = 6
    refused(lambda: stub.Infer(request_of, timeout=5), Code.ABORTED, "epoch 1", "epoch 2")
    request_of.epoch = 2
    assert stub.Infer(request_of, timeout=5).epoch == 2


def test_answer_to_an_ended_episode_is_dropped(client, policy, observe):
    client.open_session()
    policy.delay_s = 0.6
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(client.infer, observe(), 5)
        time.sleep(0.2)
        client.reset_session()
        with pytest.raises(StaleRequest, match="epoch"):
            answer.result()
    client.infer(observe(), 5)


def broken(actions):
    raise RuntimeError("/secret/weights.py")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (broken, ["the policy raised"]),
        (lambda a: a * np.nan, ["actions[0].dx is nan", "not sent"]),
        (lambda a: a + 1, ["allows -0.05..0.05", "not sent"]),
        (lambda a: a[:, :4], ["(1, 4, 4)", "(1, 8, 4)"]),
        (lambda a: a.astype(np.float64), ["float32"]),
    ],
)
def test_faulty_policy_is_kept_from_the_robot(client, stub, policy, request_of, observe, spoil, words, caplog):
    policy.spoil = spoil
    refused(lambda: stub.Infer(request_of, timeout=5), Code.INTERNAL, *words)
    assert any(record.levelname == "ERROR" for record in caplog.records)
    client.open_session()
    with pytest.raises(ServerFault):
        client.infer(observe(), 5)
    policy.spoil = None
    client.infer(observe(), 5)


def test_faulty_policy_is_not_served(echo, spec, start):
    policy = echo.EchoPolicy(spec)
    policy.spoil = lambda a: a * np.nan
    with pytest.raises(ServerFault, match="is nan"):
        start(policy)


def test_deadline_is_kept_and_nobody_is_served_after_it(server, client, policy, observe):
    client.open_session()
    policy.delay_s = 1.0
    start = time.monotonic()
    with pytest.raises(DeadlineExceeded, match=r"within 0.1 s"):
        client.infer(observe(instruction="first"), 0.1)
    assert time.monotonic() - start < 0.8
    with pytest.raises(DeadlineExceeded):
        client.infer(observe(instruction="gave up waiting"), 0.1)
    policy.delay_s = 0.0
    client.infer(observe(instruction="last"), 5)
    assert policy.instructions == ["first", "last"]


def test_waiting_shows_in_the_timing(server, policy, observe):
    policy.delay_s = 0.5
    with PolicyClient(server.address, "a") as a, PolicyClient(server.address, "b") as b:
        a.open_session()
        b.open_session()
        first = threading.Thread(target=a.infer, args=(observe(), 5))
        first.start()
        time.sleep(0.2)
        timing = b.infer(observe(), 5).timing
        first.join()
    assert 50_000 < timing.queue_us < 500_000
    assert timing.infer_us >= 500_000


def test_health_answers_while_the_policy_works(server, client, policy, observe):
    client.open_session()
    policy.delay_s = 1.0
    with ThreadPoolExecutor(1) as pool, grpc.insecure_channel(server.address) as channel:
        answer = pool.submit(client.infer, observe(), 5)
        time.sleep(0.1)
        check = health_pb2_grpc.HealthStub(channel).Check
        for name in ("", SERVICE_NAME):
            status = check(health_pb2.HealthCheckRequest(service=name), timeout=0.4).status
            assert status == health_pb2.HealthCheckResponse.SERVING
        assert not answer.done()
        answer.result()


def test_reflection_lists_the_service(server):
    with grpc.insecure_channel(server.address) as channel:
        ask = reflection_pb2.ServerReflectionRequest(list_services="")
        replies = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(iter([ask]), timeout=5)
        listed = [service.name for service in next(replies).list_services_response.service]
    assert SERVICE_NAME == "policy_api.v1.PolicyService"
    assert {SERVICE_NAME, "grpc.health.v1.Health"} <= set(listed)


def test_oversize_message_is_refused(stub, client, request_of, observe):
    request_of.images[0].data = b"\0" * (9 * 1024 * 1024)
    refused(lambda: stub.Infer(request_of, timeout=5), Code.RESOURCE_EXHAUSTED, "larger than max")
    client.open_session()
    observation = observe()
    big = replace(observation.images["front"], data=b"\0" * (9 * 1024 * 1024))
    with pytest.raises(ServerBusy, match="larger than max"):
        client.infer(replace(observation, images={**observation.images, "front": big}), 5)
    client.infer(observation, 5)


def test_bytes_that_are_no_message_are_refused(server):
    with grpc.insecure_channel(server.address) as channel:
        for method in ("Infer", "OpenSession", "ResetSession", "CloseSession"):
            with pytest.raises(grpc.RpcError) as error:
                channel.unary_unary(f"/{SERVICE_NAME}/{method}")(pickle.dumps({"session_id": "x"}), timeout=5)
            assert error.value.code() == Code.INVALID_ARGUMENT
            assert "bytes are no request" in error.value.details()
