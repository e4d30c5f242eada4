"""The small HTTP server that Prometheus reads the metrics from."""

import ssl
from datetime import datetime, timezone

from policy_api.channel import TlsFiles
from prometheus_client import CollectorRegistry, start_http_server

from policy_server.security import check_bind, read_tls


class MetricsEndpoint:
    """Answers `GET /metrics` at `address`, "host:port", in threads of its own until `stop`."""

    def __init__(
        self, registry: CollectorRegistry, address: str, tls: TlsFiles | None = None, insecure_bind: bool = False
    ) -> None:
        """Port 0 takes a free port; `address` then names it.

        The rule of `check_bind` holds. With `tls` a reader must show a certificate of the lab, of any role.
        ValueError for an address that is refused, OSError if the port is taken.
        """
        check_bind(address, tls is not None, insecure_bind)
        host, _, port = address.rpartition(":")
        if not port.isdigit():
            raise ValueError(f"address {address!r} of the metrics is not host:port, for example 127.0.0.1:9464")
        if tls is not None:
            read_tls(tls, datetime.now(timezone.utc))
        try:
            self._server, self._thread = start_http_server(
                int(port),
                host.strip("[]"),
                registry,
                certfile=None if tls is None else str(tls.cert),
                keyfile=None if tls is None else str(tls.key),
                client_cafile=None if tls is None else str(tls.ca),
                client_auth_required=tls is not None,
            )
        except OSError as error:
            raise OSError(f"cannot serve metrics on {address}: {error}") from error
        if isinstance(self._server.socket, ssl.SSLSocket):
            # a slow reader keeps its own thread waiting, not the one that listens
            self._server.socket.do_handshake_on_connect = False  # type: ignore[attr-defined]
        self.address = f"{host}:{self._server.server_port}"

    def stop(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
