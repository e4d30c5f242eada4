"""Metrics and traces of a server, as its command line asks for them."""

import argparse
import logging
import threading
import time
from collections.abc import Callable

from policy_api.channel import TlsFiles

from policy_server.metrics import Metrics
from policy_server.metrics_http import MetricsEndpoint
from policy_server.observing import Observer, Observers
from policy_server.seam import Hub
from policy_server.sessions import SessionTable
from policy_server.tracing import otlp_tracing

log = logging.getLogger(__name__)

_FLUSH_S = 0.3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `python -m policy_server serve`."""
    parser.add_argument("--metrics", metavar="HOST:PORT", help="answer Prometheus there, for example 127.0.0.1:9464")
    parser.add_argument(
        "--trace", action="store_true", help="send OpenTelemetry traces to OTEL_EXPORTER_OTLP_ENDPOINT (extra: trace)"
    )


class Telemetry:
    """What watches a server. `observer` goes into its configuration."""

    def __init__(
        self,
        hub: Hub,
        sessions: SessionTable,
        metrics: str | None = None,
        trace: bool = False,
        tls: TlsFiles | None = None,
        insecure_bind: bool = False,
    ) -> None:
        """`metrics`: "host:port" to answer Prometheus at; None: nowhere. ValueError, OSError if that cannot be done."""
        observers: list[Observer] = []
        self._flush: Callable[[], None] = lambda: None
        self.metrics_address = ""
        if trace:
            tracing, self._flush = otlp_tracing(time.time_ns)
            observers.append(tracing)
        if metrics is not None:
            counting = Metrics(lambda: sessions.views(time.monotonic_ns()), hub.residents)
            observers.append(counting)
            self.metrics_address = MetricsEndpoint(counting.registry, metrics, tls, insecure_bind).address
            log.info("metrics on http%s://%s/metrics", "" if tls is None else "s", self.metrics_address)
        self.observer = Observers(*observers)

    def flush(self) -> None:
        """Send the last traces, if somebody takes them within a moment: a server that stops does not wait for long."""
        sender = threading.Thread(target=self._flush, name="flush traces", daemon=True)
        sender.start()
        sender.join(_FLUSH_S)
