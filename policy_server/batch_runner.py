"""One batch through a policy: rows to a batch, act, check what comes out, batch to rows."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from policy_api.errors import InvalidActions, PolicyApiError, ServerFault
from policy_api.schema import ActionChunk, PolicySpec

from policy_server.policy import Policy, PolicyOutput, is_recurrent, is_stepped, prefix_steps_of
from policy_server.seam import Answer, Request

log = logging.getLogger(__name__)

_ON_EDGE = 1e-3
"""A number this close to the end of its range, as a share of the range, counts as clipped."""


@dataclass(frozen=True, eq=False)
class Inferred:
    """A batch that the policy has answered, not yet checked. Times in ns of the monotonic clock."""

    output: PolicyOutput
    started_ns: int
    preprocessed_ns: int
    done_ns: int


class BatchRunner:
    """Runs batches of requests through one policy. Used by the thread that owns the policy."""

    def __init__(self, policy: Policy, buckets: Sequence[int]) -> None:
        """`buckets`: sizes of batch that the policy is called with, rising; rows are padded up to one of them."""
        self._policy = policy
        self._spec: PolicySpec = policy.spec
        self._buckets = tuple(buckets)
        self._prefix_steps = prefix_steps_of(policy)
        self._is_recurrent = is_recurrent(policy)
        self._is_stepped = is_stepped(policy)
        self._lower = np.array([field.lower for field in self._spec.action])
        self._upper = np.array([field.upper for field in self._spec.action])

    def infer(self, requests: Sequence[Request]) -> Inferred:
        """Ask the policy. ServerFault if it raises."""
        started_ns = time.monotonic_ns()
        rows = next(bucket for bucket in self._buckets if bucket >= len(requests))
        # The last row is repeated, so that compiled shapes stay few and padding computes nothing unusual.
        padded = [*requests, *[requests[-1]] * (rows - len(requests))]
        images = {camera.name: _stacked([r.images[camera.name] for r in padded]) for camera in self._spec.cameras}
        state = _stacked([request.state for request in padded])
        instructions = [request.instruction for request in padded]
        extras: dict[str, Any] = {}
        if self._prefix_steps:
            extras["committed"] = [request.committed for request in padded]
        if self._is_recurrent:
            extras["memory"] = [request.memory for request in padded]
        if self._is_stepped:
            extras["steps"] = [request.step for request in padded]
        preprocessed_ns = time.monotonic_ns()
        try:
            output = self._policy.act(images, state, instructions, temperature=0.0, **extras)
        except Exception as error:  # a policy may raise anything; the peer is told only that it did
            log.exception("policy raised")
            raise ServerFault("the policy raised an error; the server's log holds it") from error
        return Inferred(output, started_ns, preprocessed_ns, time.monotonic_ns())

    def rows(self, inferred: Inferred, requests: Sequence[Request]) -> list[Answer | PolicyApiError]:
        """One answer a request, or why its row was refused. ServerFault if the whole batch is of no use."""
        count = len(requests)
        padded_rows = next(bucket for bucket in self._buckets if bucket >= count)
        actions = self._checked_shape(inferred.output, padded_rows)[:count].copy()
        memories = self._memories(inferred.output, padded_rows)
        ends_ns = time.monotonic_ns()
        return [
            self._fault(actions[i])
            or Answer(
                actions=actions[i],
                memory=memories[i],
                frozen_rows=request.committed.delay_steps if request.committed is not None else 0,
                queue_ns=inferred.started_ns - request.queued_ns,
                preprocess_ns=inferred.preprocessed_ns - inferred.started_ns,
                infer_ns=inferred.done_ns - inferred.preprocessed_ns,
                postprocess_ns=ends_ns - inferred.done_ns,
                batch=count,
            )
            for i, request in enumerate(requests)
        ]

    def clipped(self, actions: NDArray[np.float32]) -> int:
        """How many numbers of (H, A) actions lie on the edge of their range."""
        edge = _ON_EDGE * (self._upper - self._lower)
        return int(np.count_nonzero((actions <= self._lower + edge) | (actions >= self._upper - edge)))

    def _checked_shape(self, output: PolicyOutput, rows: int) -> NDArray[np.float32]:
        expected = (rows, self._spec.horizon, len(self._spec.action))
        actions = output.actions
        if not isinstance(actions, np.ndarray) or actions.dtype != np.float32:
            kind = getattr(actions, "dtype", type(actions).__name__)
            raise _refused(f"actions must be a float32 array, got {kind}")
        if actions.shape != expected:
            raise _refused(f"actions have shape {actions.shape}, the contract says {expected}")
        return actions

    def _memories(self, output: PolicyOutput, rows: int) -> list[object | None]:
        if not self._is_recurrent:
            return [None] * rows
        memories = getattr(output, "memory", None)
        if memories is None or len(memories) != rows:
            raise _refused(f"a recurrent policy must hand back one memory a row, {rows} of them")
        return list(memories)

    def _fault(self, actions: NDArray[np.float32]) -> ServerFault | None:
        chunk = ActionChunk(actions, self._spec.dt_ns, 0, 0, self._policy.revision)
        try:
            chunk.validate(self._spec)
        except InvalidActions as error:
            return _refused(str(error))
        return None


def _stacked(rows: Sequence[NDArray[Any]]) -> NDArray[Any]:
    return rows[0][np.newaxis] if len(rows) == 1 else np.stack(rows)


def _refused(reason: str) -> ServerFault:
    log.error("policy's answer refused: %s", reason)
    return ServerFault(f"the policy's answer breaks its contract and was not sent: {reason}")
