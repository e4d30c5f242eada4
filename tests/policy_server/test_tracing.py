import builtins

import pytest

from policy_server.observing import Call, Chunk, Observers
from policy_server.tracing import Tracing, TracingError, otlp_tracing

sdk = pytest.importorskip("opentelemetry.sdk.trace", reason="the extra 'trace' is not installed")
from opentelemetry.sdk.trace.export import SimpleSpanProcessor  # noqa: E402
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter  # noqa: E402

END_NS = 1_800_000_000_000_000_000
STAGES = ["decode", "queue", "preprocess", "infer", "postprocess"]


def chunk(**changes):
    values = {
        "robot_id": "arm", "model": "m", "revision": "r" * 64, "slot": "stable", "seq": 4, "step": 9, "batch": 2,
        "decode_ns": 1000, "preprocess_ns": 300, "queue_ns": 20, "infer_ns": 5000, "postprocess_ns": 7,
    }  # fmt: skip
    return Chunk(**(values | changes))


@pytest.fixture
def spans():
    return InMemorySpanExporter()


@pytest.fixture
def tracing(spans):
    provider = sdk.TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    return Tracing(provider, lambda: END_NS)


def test_one_trace_for_a_chunk(tracing, spans):
    Observers(tracing).chunk(chunk())
    *stages, root = spans.get_finished_spans()
    assert root.name == "infer chunk"
    assert root.parent is None
    assert dict(root.attributes) == {
        "armature.robot_id": "arm",
        "armature.model": "m",
        "armature.revision": "r" * 64,
        "armature.slot": "stable",
        "armature.seq": 4,
        "armature.step": 9,
        "armature.batch": 2,
    }
    assert [span.name for span in stages] == STAGES
    assert [span.end_time - span.start_time for span in stages] == [1000, 20, 300, 5000, 7]
    assert {span.parent.span_id for span in stages} == {root.context.span_id}
    assert {span.context.trace_id for span in stages} == {root.context.trace_id}
    starts, ends = [s.start_time for s in stages], [s.end_time for s in stages]
    assert starts == [root.start_time, *ends[:-1]]
    assert ends[-1] == root.end_time == END_NS


def test_the_robots_trace_goes_on(tracing, spans):
    trace_id, span_id = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    tracing.chunk(chunk(trace={"traceparent": f"00-{trace_id}-{span_id}-01", "tracestate": "lab=1"}))
    root = spans.get_finished_spans()[-1]
    assert f"{root.context.trace_id:032x}" == trace_id
    assert f"{root.parent.span_id:016x}" == span_id
    assert root.context.trace_state.get("lab") == "1"


@pytest.mark.parametrize("header", ["", "nonsense", "00-" + "0" * 32 + "-00f067aa0ba902b7-01", "\x00" * 500])
def test_a_damaged_header_begins_a_trace(tracing, spans, header):
    tracing.chunk(chunk(trace={"traceparent": header}))
    assert spans.get_finished_spans()[-1].parent is None


def test_a_robot_that_does_not_sample_is_obeyed(tracing, spans):
    tracing.chunk(chunk(trace={"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"}))
    assert not spans.get_finished_spans()


def test_calls_have_no_spans(tracing, spans):
    tracing.call(Call("PolicyService/Infer", "OK", "", 5))
    assert not spans.get_finished_spans()


def test_without_the_extra_it_says_so(monkeypatch):
    real = builtins.__import__

    def missing(name, *arguments, **options):
        if name.startswith("opentelemetry"):
            raise ImportError(f"No module named {name!r}")
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(TracingError, match=r"pip install 'armature\[trace\]'"):
        otlp_tracing(lambda: 0)
