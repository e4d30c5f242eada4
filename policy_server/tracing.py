"""One OpenTelemetry trace for every chunk (extra `trace`; set OTEL_EXPORTER_OTLP_ENDPOINT to send it somewhere).

A robot that sends the W3C header `traceparent` in the request's metadata is the parent of the server's span "infer
chunk"; below it lie the stages decode, queue, preprocess, infer and postprocess. Spans are made after the answer
from the times that were taken anyway, and are sent by a thread of their own.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from policy_server.observing import Call, Chunk

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

TRACE_HEADERS = ("traceparent", "tracestate")


class TracingError(ValueError):
    """The packages of the extra `trace` are not installed."""


class Tracing:
    """An `Observer` that writes spans. `now_ns` is the time of day in ns since 1970."""

    def __init__(self, provider: "TracerProvider", now_ns: Callable[[], int]) -> None:
        from opentelemetry import trace
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._trace = trace
        self._headers = TraceContextTextMapPropagator()
        self._tracer = provider.get_tracer("armature.policy_server")
        self._now_ns = now_ns

    def call(self, call: Call) -> None:
        """Calls have no spans of their own."""

    def chunk(self, chunk: Chunk) -> None:
        """Write the spans of an answered observation; the last stage has just ended."""
        end_ns = self._now_ns()
        at_ns = end_ns - sum(chunk.stages.values())
        attributes: dict[str, str | int] = {
            "armature.robot_id": chunk.robot_id,
            "armature.model": chunk.model,
            "armature.revision": chunk.revision,
            "armature.slot": chunk.slot,
            "armature.seq": chunk.seq,
            "armature.step": chunk.step,
            "armature.batch": chunk.batch,
        }
        root = self._tracer.start_span(
            "infer chunk",
            context=self._headers.extract(chunk.trace),
            kind=self._trace.SpanKind.SERVER,
            attributes=attributes,
            start_time=at_ns,
        )
        inside = self._trace.set_span_in_context(root)
        for stage, took_ns in chunk.stages.items():
            span = self._tracer.start_span(stage, context=inside, start_time=at_ns)
            at_ns += took_ns
            span.end(at_ns)
        root.end(end_ns)


def otlp_tracing(now_ns: Callable[[], int]) -> tuple[Tracing, Callable[[], None]]:
    """Traces sent over OTLP as the environment says (OTEL_EXPORTER_OTLP_ENDPOINT ..); and what sends the last ones.

    TracingError if the packages are missing.
    """
    try:
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise TracingError(f"tracing needs the extra: pip install 'armature[trace]' ({error})") from error
    provider = TracerProvider(resource=Resource.create({"service.name": "armature-policy-server"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Tracing(provider, now_ns), provider.shutdown
