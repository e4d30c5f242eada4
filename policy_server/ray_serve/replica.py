"""One replica: a policy in memory and the sessions that were opened with it, in a process of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import cv2
from google.protobuf.message import Message
from policy_api import policy_pb2 as pb
from policy_api.errors import PolicyApiError
from policy_api.malloc import keep_large_blocks
from ray import serve

from policy_server.backends.choice import load_backend
from policy_server.calls import PolicyCalls
from policy_server.fixed_hub import FixedHub
from policy_server.front import Caller
from policy_server.ray_serve.wire import RemoteCaller, Reply
from policy_server.sessions import MAX_SESSIONS, SessionTable

MAX_CALLS: Final = 3 * MAX_SESSIONS
"""Two requests and one watch a session."""
REQUESTS: Final[dict[str, type[Message]]] = {
    "open_session": pb.OpenSessionRequest,
    "infer": pb.InferRequest,
    "reset_session": pb.ResetSessionRequest,
    "close_session": pb.CloseSessionRequest,
}
"""Method of PolicyCalls -> its message."""


class PolicyReplica:
    """Answers what the gRPC server hands on. Its session ids begin with the names of deployment and replica."""

    def __init__(self, backend: str) -> None:
        """Load and warm up; if that fails, `contracts` says why."""
        keep_large_blocks()
        cv2.setNumThreads(1)  # frames are decoded in parallel already
        context = serve.get_replica_context()
        self._prefix = f"{context.deployment}.{context.replica_tag}."
        self._threads = ThreadPoolExecutor(MAX_CALLS, thread_name_prefix="call")
        self._calls: PolicyCalls | None = None
        self._failure = Reply()
        try:
            self._hub = FixedHub([load_backend(backend)])
            self._calls = PolicyCalls(self._hub, SessionTable(prefix=self._prefix))
        except (PolicyApiError, OSError, ValueError) as error:
            self._failure = Reply(error="ServerFault", text=str(error))

    def contracts(self) -> Reply:
        """The ServerInfo of this replica, or why it cannot serve."""
        calls = self._calls
        return self._failure if calls is None else Reply.to(lambda: calls.info().SerializeToString())

    async def call(self, method: str, message: bytes, remote: RemoteCaller) -> Reply:
        """A method of PolicyCalls."""
        gone = threading.Event()
        caller = remote.here(lambda: not gone.is_set())
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._threads, Reply.to, lambda: self._answer(method, message, caller)
            )
        finally:
            gone.set()  # also when the caller has cancelled

    async def watch(self, message: bytes, remote: RemoteCaller) -> AsyncIterator[Reply]:
        """The events of a session, until it ends."""
        assert self._calls is not None
        loop = asyncio.get_running_loop()
        try:
            subscription, events = self._calls.watch(pb.WatchRequest.FromString(message), remote.here(lambda: True))
        except PolicyApiError as error:
            yield Reply(error=type(error).__name__, text=str(error))
            return
        try:
            while (event := await loop.run_in_executor(self._threads, next, events, None)) is not None:
                yield Reply(event.SerializeToString())
        finally:
            subscription.end()

    def _answer(self, method: str, message: bytes, caller: Caller) -> bytes:
        answer: Callable[[Any, Caller], Message] = getattr(self._calls, method)
        return answer(REQUESTS[method].FromString(message), caller).SerializeToString()
