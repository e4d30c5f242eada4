"""Follows what a server says of a session, in a thread of its own."""

import logging
import threading
from collections.abc import Callable

import grpc

from policy_api import policy_pb2 as pb
from policy_api import policy_pb2_grpc, serde
from policy_api.errors import PolicyApiError
from policy_api.events import Revoked, ServerEvent

log = logging.getLogger(__name__)

RETRY_S = 0.25
"""Between a stream that broke and the next one."""

_GONE = (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.PERMISSION_DENIED)


class SessionWatch:
    """One session's events, handed to `on_event` one after the other until `close`.

    A stream that breaks is opened again; a session that the server does not know any more is `Revoked`, which is the
    last event. `on_event` is called from the watch's thread and should return soon.
    """

    def __init__(
        self, stub: policy_pb2_grpc.PolicyServiceStub, session_id: str, on_event: Callable[[ServerEvent], None]
    ) -> None:
        self._stub = stub
        self._request = pb.WatchRequest(session_id=session_id)
        self._on_event = on_event
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._call: grpc.Call | None = None
        threading.Thread(target=self._follow, name="policy-watch", daemon=True).start()

    def close(self) -> None:
        """End the stream; no event comes after the one in progress. May be called from `on_event`."""
        self._closed.set()
        with self._lock:
            if self._call is not None:
                self._call.cancel()

    def _follow(self) -> None:
        while not self._closed.is_set():
            try:
                self._stream()
            except grpc.RpcError as error:
                if error.code() == grpc.StatusCode.UNIMPLEMENTED:
                    log.warning("the policy server tells no events: it is older than this client")
                    return
                if error.code() in _GONE and not self._closed.is_set():
                    self._hand_over(Revoked(error.details() or error.code().name))
                    return
            except ValueError:  # gRPC's answer to a call on a closed channel
                return
            self._closed.wait(RETRY_S)

    def _stream(self) -> None:
        with self._lock:
            if self._closed.is_set():
                return
            self._call = self._stub.Watch(self._request)
        for message in self._call:
            if self._closed.is_set():
                return
            try:
                event = serde.event_from_proto(message)
            except PolicyApiError as error:
                log.warning("an event of the policy server cannot be read: %s", error)
                continue
            if event is not None:
                self._hand_over(event)
            if isinstance(event, Revoked):
                self._closed.set()

    def _hand_over(self, event: ServerEvent) -> None:
        try:
            self._on_event(event)
        except Exception:  # a fault of the receiver must not end the watch unseen
            log.exception("the receiver of %s failed", type(event).__name__)
