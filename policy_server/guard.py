"""The gate in front of every call: who may, is the message one, and how did it end.

Messages are parsed here, in the thread of the call: a damaged one is refused with INVALID_ARGUMENT (gRPC alone would
say INTERNAL) and a large one does not hold up the thread that receives for everybody.
"""

import time
from collections.abc import Callable, Iterator
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from policy_api.errors import InvalidMessage
from policy_api.refusals import ERROR_KIND

from policy_server.answering import answering
from policy_server.denied import Denied
from policy_server.observing import Call, Observer
from policy_server.security import Role, peer_of, require

ROLES = {"policy_api.v1.PolicyService": Role.ROBOT, "policy_api.v1.PolicyAdmin": Role.ADMIN}
"""Service -> role that the caller's certificate must have. Health and reflection answer any certificate."""

Continuation = Callable[[grpc.HandlerCallDetails], grpc.RpcMethodHandler | None]


class CallGuard(grpc.ServerInterceptor):
    """Checks roles and messages of unary requests, and tells an observer how each call ended."""

    def __init__(self, observer: Observer, denied: Denied | None = None) -> None:
        """`denied`: certificates that are refused whatever their role is."""
        self._observer = observer
        self._denied = denied
        self._guarded: dict[str, grpc.RpcMethodHandler] = {}

    def intercept_service(
        self, continuation: Continuation, details: grpc.HandlerCallDetails
    ) -> grpc.RpcMethodHandler | None:
        """The guarded handler of a method; None if there is no such method."""
        found = self._guarded.get(details.method)
        if found is not None:
            return found
        handler = continuation(details)
        behaviour = None if handler is None else handler.unary_unary or handler.unary_stream
        if handler is None or behaviour is None or getattr(behaviour, "experimental_non_blocking", False):
            return handler  # reflection's stream and health's Watch, which gRPC runs in ways of its own
        self._guarded[details.method] = self._guard(handler, details.method.lstrip("/"))
        return self._guarded[details.method]

    def _guard(self, handler: grpc.RpcMethodHandler, method: str) -> grpc.RpcMethodHandler:
        service, _, _ = method.partition("/")
        name = method.rpartition(".")[2]
        role = ROLES.get(service)
        parse = handler.request_deserializer

        def admit(data: bytes, context: grpc.ServicerContext) -> Any:  # noqa: ANN401 - a message of any type
            with answering(context):
                peer = None if role is None else peer_of(context)
                if peer is not None and role is not None:
                    require(peer, role)
                    if self._denied is not None:
                        self._denied.check(peer)
                try:
                    return parse(data)
                except DecodeError as error:
                    raise InvalidMessage(f"{len(data)} bytes are no request of {method} ({error})") from error

        def unary(data: bytes, context: grpc.ServicerContext) -> Any:  # noqa: ANN401 - a message of any type
            start_ns = time.perf_counter_ns()
            try:
                return handler.unary_unary(admit(data, context), context)
            finally:
                self._ended(name, context, start_ns)

        def stream(data: bytes, context: grpc.ServicerContext) -> Iterator[Any]:
            start_ns = time.perf_counter_ns()
            try:
                yield from handler.unary_stream(admit(data, context), context)
            finally:
                self._ended(name, context, start_ns)

        if handler.unary_unary is not None:
            return grpc.unary_unary_rpc_method_handler(unary, None, handler.response_serializer)
        return grpc.unary_stream_rpc_method_handler(stream, None, handler.response_serializer)

    def _ended(self, method: str, context: grpc.ServicerContext, start_ns: int) -> None:
        code = context.code()
        if code is None:
            code = grpc.StatusCode.OK if context.is_active() else grpc.StatusCode.CANCELLED
        error = next((value for key, value in context.trailing_metadata() or () if key == ERROR_KIND), "")
        self._observer.call(Call(method, code.name, str(error), time.perf_counter_ns() - start_ns))
