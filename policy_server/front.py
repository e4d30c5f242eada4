"""What stands behind the gRPC server: policies in this process, or elsewhere."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from policy_api import policy_pb2 as pb
from policy_api.schema import PolicySpec


@dataclass(frozen=True)
class Caller:
    """Who calls, and for how long. Times are of the server's monotonic clock."""

    identity: str | None
    """Name in the certificate; None on a plaintext connection."""
    arrived_ns: int
    deadline_ns: int
    wanted: Callable[[], bool]
    """False once the caller has gone."""
    trace: Mapping[str, str] = field(default_factory=dict)
    """W3C trace headers that came with the call."""
    local: bool = False
    """Whether it is on this host, so that it may hand frames over in shared memory."""


class Watching(Protocol):
    """A stream of events that can be ended from outside."""

    def end(self) -> None:
        """Nothing comes after what is queued."""
        ...


class Front(ABC):
    """Each call of PolicyService: messages in and out, `policy_api.errors` as exceptions. Thread-safe."""

    @abstractmethod
    def contracts(self) -> list[tuple[PolicySpec, str, int]]:
        """(contract, revision, prefix steps) that a new session of each model gets."""

    @abstractmethod
    def subscribe(self, on_change: Callable[[str], None]) -> Callable[[], None]:
        """Call `on_change(model)` whenever what that model serves changes; returns what ends that."""

    @abstractmethod
    def info(self) -> pb.ServerInfo:
        """What this server is and which contracts it serves."""

    @abstractmethod
    def open_session(self, request: pb.OpenSessionRequest, caller: Caller) -> pb.Session:
        """Open a session."""

    @abstractmethod
    def infer(self, message: pb.InferRequest, caller: Caller) -> pb.ActionChunk:
        """Answer one observation."""

    @abstractmethod
    def reset_session(self, request: pb.ResetSessionRequest, caller: Caller) -> pb.Session:
        """Begin the next epoch."""

    @abstractmethod
    def close_session(self, request: pb.CloseSessionRequest, caller: Caller) -> pb.CloseSessionResponse:
        """Forget a session."""

    @abstractmethod
    def watch(self, request: pb.WatchRequest, caller: Caller) -> tuple[Watching, Iterator[pb.SessionEvent]]:
        """What happens to a session, until it ends."""

    @abstractmethod
    def drain(self, grace_ns: int) -> None:
        """Take no more sessions and tell those that watch that the server stops after `grace_ns`."""

    @abstractmethod
    def close(self) -> None:
        """End the threads."""
