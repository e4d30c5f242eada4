import argparse
import time
import urllib.request

import grpc
import pytest
from policy_api import policy_pb2 as pb
from policy_api import policy_pb2_grpc, serde
from prometheus_client.parser import text_string_to_metric_families

from policy_server import telemetry
from policy_server.fixed_hub import FixedHub
from policy_server.server import PolicyServer, ServerConfig
from policy_server.sessions import SessionTable
from policy_server.telemetry import Telemetry
from policy_server.tracing import Tracing


@pytest.fixture
def hub(policy):
    made = FixedHub([policy])
    yield made
    made.close()


@pytest.fixture
def watched(hub):
    """Serve with something that watches."""
    servers = []

    def serve(observer, sessions):
        servers.append(PolicyServer(hub, ServerConfig("127.0.0.1:0", sessions=sessions, observer=observer)))
        return servers[-1].address

    yield serve
    for server in servers:
        server.stop()


def ask(address, observe, answers, metadata=()):
    """Open a session, infer, send one bad message and leave the session open."""
    with grpc.insecure_channel(address) as channel:
        stub = policy_pb2_grpc.PolicyServiceStub(channel)
        session = stub.OpenSession(pb.OpenSessionRequest(robot_id="arm-1"), timeout=20)
        for seq in range(1, answers + 1):
            request = serde.observation_to_proto(observe(step=seq))
            request.session_id, request.epoch, request.seq = session.session_id, session.epoch, seq
            stub.Infer(request, timeout=20, metadata=metadata)
        with pytest.raises(grpc.RpcError):
            channel.unary_unary("/policy_api.v1.PolicyService/Infer")(b"\xff", timeout=20)


def read(address):
    found = {}
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=20) as answer:
        for family in text_string_to_metric_families(answer.read().decode()):
            for sample in family.samples:
                found[sample.name, tuple(sorted(sample.labels.items()))] = sample.value
    return found


def test_metrics_of_a_server(hub, watched, policy, observe):
    sessions = SessionTable()
    watching = Telemetry(hub, sessions, metrics="127.0.0.1:0")
    policy.delay_s = 0.01
    ask(watched(watching.observer, sessions), observe, answers=3)
    found = read(watching.metrics_address)
    who = (("model", "echo"), ("revision", "e" * 12), ("slot", "stable"))
    assert found["policy_revision_answers_total", who] == 3
    assert found["policy_sessions", (("model", "echo"), ("slot", "stable"))] == 1
    assert found["policy_session_silent_seconds", (("robot", "arm-1"),)] >= 0
    assert found["policy_session_age_seconds", (("robot", "arm-1"),)] > 0
    for stage in ("decode", "queue", "preprocess", "infer", "postprocess"):
        assert found["policy_stage_seconds_count", tuple(sorted([("stage", stage), *who]))] == 3
    assert found["policy_stage_seconds_sum", tuple(sorted([("stage", "infer"), *who]))] >= 0.03
    infer = ("method", "PolicyService/Infer")
    assert found["policy_calls_total", (infer, ("status", "OK"))] == 3
    assert found["policy_calls_total", (infer, ("status", "INVALID_ARGUMENT"))] == 1


def test_traces_of_a_server(watched, observe):
    sdk = pytest.importorskip("opentelemetry.sdk.trace", reason="the extra 'trace' is not installed")
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    spans, provider = InMemorySpanExporter(), sdk.TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    address = watched(Tracing(provider, time.time_ns), SessionTable())
    trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
    ask(address, observe, answers=2, metadata=(("traceparent", f"00-{trace_id}-00f067aa0ba902b7-01"),))
    roots = [span for span in spans.get_finished_spans() if span.name == "infer chunk"]
    assert [span.attributes["armature.step"] for span in roots] == [1, 2]
    assert {span.attributes["armature.robot_id"] for span in roots} == {"arm-1"}
    assert {f"{span.context.trace_id:032x}" for span in spans.get_finished_spans()} == {trace_id}
    assert len(spans.get_finished_spans()) == 12


def test_nothing_is_watched_unless_asked_for(hub):
    parser = argparse.ArgumentParser()
    telemetry.add_arguments(parser)
    arguments = parser.parse_args([])
    watching = Telemetry(hub, SessionTable(), arguments.metrics, arguments.trace)
    assert watching.metrics_address == ""
    watching.flush()


def test_a_network_needs_certificates(hub):
    with pytest.raises(ValueError, match=r"refusing to listen on '0\.0\.0\.0:0'"):
        Telemetry(hub, SessionTable(), metrics="0.0.0.0:0")


def test_flushing_does_not_wait_for_a_collector_that_is_not_there(hub, monkeypatch):
    pytest.importorskip("opentelemetry.sdk.trace", reason="the extra 'trace' is not installed")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    watching = Telemetry(hub, SessionTable(), trace=True)
    start = time.monotonic()
    watching.flush()
    assert time.monotonic() - start < 10
