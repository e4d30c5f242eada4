"""What the server tells whoever watches it: calls that ended and chunks that were answered."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True)
class Call:
    """A call that ended: "PolicyService/Infer", its gRPC status, and the class of the error, "" if there was none."""

    method: str
    status: str
    error: str
    took_ns: int


@dataclass(frozen=True)
class Chunk:
    """One answered observation: who asked, who answered, and where the time went (ns).

    `trace` holds the W3C trace headers that came with the request, `traceparent` and `tracestate`, if any.
    """

    robot_id: str
    model: str
    revision: str
    slot: str
    seq: int
    step: int
    batch: int
    decode_ns: int
    preprocess_ns: int
    queue_ns: int
    infer_ns: int
    postprocess_ns: int
    trace: Mapping[str, str] = field(default_factory=dict)

    @property
    def stages(self) -> dict[str, int]:
        """Stage -> ns, in the order in which they happen."""
        return {
            "decode": self.decode_ns,
            "queue": self.queue_ns,
            "preprocess": self.preprocess_ns,
            "infer": self.infer_ns,
            "postprocess": self.postprocess_ns,
        }


@dataclass(frozen=True)
class SessionView:
    """An open session: since when, and how long it has been silent (s)."""

    robot_id: str
    model: str
    slot: str
    age_s: float
    silent_s: float


class Observer(Protocol):
    """Told by the threads that answer calls, so it must be thread-safe, return at once and never raise."""

    def call(self, call: Call) -> None:
        """A call ended, well or not."""
        ...

    def chunk(self, chunk: Chunk) -> None:
        """An observation was answered."""
        ...


class Observers:
    """Tells several observers; none at all is fine."""

    def __init__(self, *observers: Observer) -> None:
        self._observers = observers

    def call(self, call: Call) -> None:
        """Pass it on."""
        for observer in self._observers:
            observer.call(call)

    def chunk(self, chunk: Chunk) -> None:
        """Pass it on."""
        for observer in self._observers:
            observer.chunk(chunk)
