"""Where the parts of the server meet: a request, its answer, and who decides which revision gives it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray
from policy_api.errors import PolicyApiError
from policy_api.schema import PolicySpec

if TYPE_CHECKING:
    from policy_api.schema import Committed

    from policy_server.served import ServedRevision


class Priority(IntEnum):
    """Who is served first: the lower number."""

    ROBOT = 0
    EVALUATION = 1
    SHADOW = 2


@dataclass(eq=False)
class Request:
    """One observation on its way through a revision's worker. Times are of the server's monotonic clock."""

    images: dict[str, NDArray[np.uint8]]
    """(S, S, 3) network input by camera, decoded and resized."""
    state: NDArray[np.float32]
    """(F,) in the contract's units."""
    instruction: str
    committed: Committed | None
    """Actions that will be executed whatever the answer is; None if the robot waits for the answer."""
    memory: object | None
    """What a recurrent policy kept of the session's observations; None at the start of an episode."""
    priority: Priority
    arrived_ns: int
    deadline_ns: int
    wanted: Callable[[], bool]
    """False once the caller has gone."""
    answer: Future[Answer]
    """Set by the worker, to an Answer or a PolicyApiError; cancelled by whoever no longer needs it."""
    queued_ns: int = 0
    """When it began to wait for the policy; set by whoever takes it first."""
    step: int = 0
    """Index of the control step of the observation; for policies that go by it (attribute `stepped`)."""


@dataclass(frozen=True, eq=False)
class Answer:
    """What a policy said to one request, checked against its contract."""

    actions: NDArray[np.float32]
    """(H, A) in the contract's units."""
    memory: object | None
    """What the session hands in with its next observation; None if the policy is not recurrent."""
    frozen_rows: int
    """Committed steps that the policy was conditioned on as certain."""
    queue_ns: int
    """Waiting for the policy."""
    preprocess_ns: int
    """Rows to a batch."""
    infer_ns: int
    postprocess_ns: int
    """Checks, and the batch to rows."""
    batch: int
    """Rows that were answered together."""


@dataclass(frozen=True)
class Placement:
    """The revision that answers a session until its next reset, and the part it plays: "stable" or "canary"."""

    served: ServedRevision
    slot: str


class Hub(Protocol):
    """Which revisions are in memory, and which of them answers whom. Thread-safe."""

    def contracts(self) -> list[tuple[PolicySpec, str, int]]:
        """(contract, revision, prefix steps) of every model's stable revision."""
        ...

    def place(self, robot_id: str, episode_id: str, model: str, revision: str, stable_only: bool) -> Placement:
        """Choose who answers an episode, and count a session with it until `release`.

        Empty `model`: the only one. Empty `revision`: as the traffic of the model says.
        Raises UnknownModel, UnknownRevision, both with the names that exist.
        """
        ...

    def judged(self, placement: Placement, outcome: str) -> None:
        """How an episode went: "success", "failure", "discarded", or "" if nobody judged it. Counts once."""
        ...

    def release(self, placement: Placement, outcome: str) -> None:
        """An episode has ended; as `judged`, and the session is no longer counted."""
        ...

    def answered(self, placement: Placement, request: Request, result: Answer | PolicyApiError) -> None:
        """A request of a session was answered or failed, perhaps after the placement's release. Returns at once."""
        ...

    def residents(self) -> list[Placement]:
        """Every revision in memory and the part it plays: those of `Placement`, "shadow", "previous" or "idle"."""
        ...

    def subscribe(self, on_change: Callable[[str], None]) -> Callable[[], None]:
        """Call `on_change(model)` whenever that model's traffic or revisions change; returns what ends that.

        `on_change` returns at once and calls nothing of the hub.
        """
        ...
