"""One policy in memory, ready to answer."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future

import numpy as np
from policy_api.errors import InvalidObservation, PolicyApiError
from policy_api.schema import Committed

from policy_server.batch_runner import BatchRunner
from policy_server.policy import Policy, is_recurrent, prefix_steps_of
from policy_server.seam import Priority, Request
from policy_server.stats import RevisionStats
from policy_server.worker import Worker

BUCKETS = (1, 2, 4, 8)
"""Sizes of batch that a policy is called with."""

_WARM_UP_RUNS = 2
_FAR_NS = 1 << 62


class ServedRevision:
    """One policy, and the thread that owns it from its first inference to `close`."""

    def __init__(self, policy: Policy, buckets: Sequence[int] = BUCKETS) -> None:
        """`buckets`: sizes of batch, rising. InvalidSpec if the policy's contract makes no sense."""
        policy.spec.validate()
        self.spec = policy.spec
        self.spec_hash = policy.spec.spec_hash
        self.revision = policy.revision
        self.prefix_steps = prefix_steps_of(policy)
        self.is_recurrent = is_recurrent(policy)
        self.stats = RevisionStats()
        self._buckets = tuple(buckets)
        self._runner = BatchRunner(policy, buckets)
        self._worker = Worker(f"{self.spec.model} {self.revision[:12]}", self._runner, buckets, self.stats)

    @property
    def closed(self) -> bool:
        """Whether the revision was unloaded."""
        return self._worker.closed

    @property
    def waiting(self) -> int:
        """Requests that wait for the policy."""
        return self._worker.waiting

    def warm_up(self, on_progress: Callable[[float], None] = lambda fraction: None) -> None:
        """Run every size of batch on grey images, so that the first robot does not wait.

        `on_progress(fraction)` is called on the policy's thread. ServerFault if the policy cannot act.
        """
        self._worker.call(lambda: self._warm_up(on_progress))

    def submit(self, request: Request) -> None:
        """Answer a request. Whatever becomes of it, a refusal too, is set in `request.answer`."""
        try:
            check_prefix(request.committed, self.prefix_steps, self.spec.model)
        except PolicyApiError as error:
            if request.answer.set_running_or_notify_cancel():
                request.answer.set_exception(error)
            return
        self._worker.submit(request)

    def p95_infer_ns(self) -> int:
        """95th percentile of the latest inferences; that of the warm-up before the first robot."""
        return self.stats.snapshot().p95_infer_ns

    def close(self) -> None:
        """Refuse what waits, let the batch in progress end. The memory is free when nobody holds this object."""
        self._worker.close()

    def _warm_up(self, on_progress: Callable[[float], None]) -> None:
        for i, bucket in enumerate(self._buckets):
            for run in range(_WARM_UP_RUNS):
                requests = [self._grey(is_conditioned=run > 0)] * bucket
                inferred = self._runner.infer(requests)
                for result in self._runner.rows(inferred, requests):
                    if isinstance(result, PolicyApiError):
                        raise result
                if run:  # the first run of a size may compile
                    infer_ns = inferred.done_ns - inferred.preprocessed_ns
                    self.stats.inferred(infer_ns)
                    self._worker.measured(bucket, infer_ns)
            on_progress((i + 1) / len(self._buckets))

    def _grey(self, is_conditioned: bool) -> Request:
        """An observation of nothing in particular."""
        committed = None
        if is_conditioned and self.prefix_steps:
            middle = np.array([(f.lower + f.upper) / 2 for f in self.spec.action], dtype=np.float32)
            committed = Committed(np.repeat(middle[np.newaxis], self.prefix_steps, axis=0), 1)
        return Request(
            images={
                camera.name: np.full((camera.input_size, camera.input_size, 3), 128, dtype=np.uint8)
                for camera in self.spec.cameras
            },
            state=np.array([(f.lower + f.upper) / 2 for f in self.spec.state], dtype=np.float32),
            instruction=self.spec.task,
            committed=committed,
            memory=None,
            priority=Priority.ROBOT,
            arrived_ns=0,
            deadline_ns=_FAR_NS,
            wanted=lambda: True,
            answer=Future(),
        )


def check_prefix(committed: Committed | None, prefix_steps: int, model: str) -> None:
    """Raise InvalidObservation if a policy cannot be conditioned on what is committed."""
    if committed is None:
        return
    if not prefix_steps:
        raise InvalidObservation(
            f"model {model!r} cannot be conditioned on committed actions (its prefix_steps is 0); leave `committed` out"
        )
    if committed.delay_steps > prefix_steps:
        raise InvalidObservation(
            f"committed.delay_steps is {committed.delay_steps}; model {model!r} can be conditioned on at most "
            f"{prefix_steps} steps: ask earlier, or leave `committed` out and wait for the answer"
        )
