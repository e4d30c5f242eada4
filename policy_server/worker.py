"""The thread that owns a policy: it takes batches of requests, and nothing that a policy does ends it."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from policy_api.errors import DeadlineExceeded, PolicyApiError, ServerFault, ServerUnavailable

from policy_server.admission import InferTimes, check_in_time
from policy_server.batch_runner import BatchRunner
from policy_server.batching import Batcher
from policy_server.seam import Answer, Request
from policy_server.stats import RevisionStats

log = logging.getLogger(__name__)

_JOIN_S = 5.0


class Worker:
    """One thread, one policy. Every request handed to `submit` gets exactly one result in its `answer`."""

    def __init__(self, name: str, runner: BatchRunner, buckets: Sequence[int], stats: RevisionStats) -> None:
        """`name`: of the thread, for logs and debuggers."""
        self._runner = runner
        self._stats = stats
        self._times = InferTimes(buckets)
        self._batcher = Batcher(buckets[-1], self._times.expected_ns)
        self._jobs: deque[tuple[Callable[[], None], Future[None]]] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._busy_until_ns = 0
        self._thread = threading.Thread(target=self._run, name=f"policy {name}", daemon=True)
        self._thread.start()

    @property
    def closed(self) -> bool:
        """Whether it takes no more requests."""
        return self._closed

    @property
    def waiting(self) -> int:
        """Requests that wait for the policy."""
        return len(self._batcher)

    def submit(self, request: Request) -> None:
        """Queue a request. If it cannot be answered in time, its `answer` is that at once."""
        now_ns = time.monotonic_ns()
        request.queued_ns = request.queued_ns or now_ns
        try:
            with self._changed:
                self._check_open()
                ahead = self._batcher.before(request)
                check_in_time(self._times, ahead, self._busy_until_ns, request.deadline_ns, now_ns)
                self._batcher.add(request, now_ns)
                self._changed.notify()
        except PolicyApiError as error:
            self._fail(request, error)

    def call(self, job: Callable[[], None]) -> None:
        """Run a job on the policy's thread, between two batches, and wait for it; raises what it raises."""
        done: Future[None] = Future()
        with self._changed:
            self._check_open()
            self._jobs.append((job, done))
            self._changed.notify()
        done.result()

    def measured(self, rows: int, infer_ns: int) -> None:
        """Note how long a batch of so many rows took; called on the policy's thread."""
        with self._changed:
            self._times.measured(rows, infer_ns)

    def close(self) -> None:
        """Refuse what waits, let the batch in progress end."""
        with self._changed:
            self._closed = True
            waiting = self._batcher.clear()
            self._changed.notify()
        for request in waiting:
            self._fail(request, _gone())
        if threading.current_thread() is not self._thread:
            self._thread.join(_JOIN_S)
            if self._thread.is_alive():
                log.warning("%s is still inside the policy; its memory is not free yet", self._thread.name)

    def _run(self) -> None:
        while (step := self._next()) is not None:
            batch, late = step
            for request in late:
                self._fail(request, DeadlineExceeded("the policy was busy with other requests until the deadline"))
            claimed = [request for request in batch if self._claim(request)]
            if claimed:
                self._serve(claimed)

    def _next(self) -> tuple[list[Request], list[Request]] | None:
        """Wait for something to do: (batch, late requests); None when it is over."""
        while True:
            with self._changed:
                self._busy_until_ns = 0
                if self._jobs:
                    job, done = self._jobs.popleft()
                elif self._closed:
                    return None
                else:
                    now_ns = time.monotonic_ns()
                    decision = self._batcher.next(now_ns)
                    if decision.batch:
                        self._busy_until_ns = now_ns + self._times.expected_ns(len(decision.batch))
                    if decision.batch or decision.late:
                        return decision.batch, decision.late
                    wake_ns = decision.wake_ns
                    self._changed.wait(None if wake_ns is None else (wake_ns - now_ns) * 1e-9)
                    continue
            try:
                job()
                done.set_result(None)
            except BaseException as error:  # noqa: BLE001 - whoever asked for the job gets it
                done.set_exception(error)

    def _claim(self, request: Request) -> bool:
        """Whether somebody still wants the answer; from now on the request cannot be superseded."""
        if not request.answer.set_running_or_notify_cancel():
            return False
        if request.wanted():
            return True
        if time.monotonic_ns() >= request.deadline_ns:
            self._stats.deadline_missed()
        request.answer.set_exception(DeadlineExceeded("the caller gave up while the policy was busy"))
        return False

    def _serve(self, requests: list[Request]) -> None:
        results: Sequence[Answer | PolicyApiError]
        try:
            inferred = self._runner.infer(requests)
            infer_ns = inferred.done_ns - inferred.preprocessed_ns
            self._stats.inferred(infer_ns)
            with self._changed:
                self._times.measured(len(requests), infer_ns)
                self._batcher.finished(len(requests), inferred.done_ns)
            results = self._runner.rows(inferred, requests)
        except PolicyApiError as error:
            results = [ServerFault(str(error)) for _ in requests]
        except Exception:  # whatever a policy hands back, the thread must live
            log.exception("a batch failed")
            results = [ServerFault("the server failed on this batch; its log holds the cause") for _ in requests]
        now_ns = time.monotonic_ns()
        for request, result in zip(requests, results, strict=True):
            self._deliver(request, result, now_ns)

    def _deliver(self, request: Request, result: Answer | PolicyApiError, now_ns: int) -> None:
        if isinstance(result, Answer):
            self._stats.answered(result.actions.size, self._runner.clipped(result.actions))
            if now_ns > request.deadline_ns:
                self._stats.deadline_missed()
            request.answer.set_result(result)
        else:
            self._stats.bad_answer()
            request.answer.set_exception(result)

    def _fail(self, request: Request, error: PolicyApiError) -> None:
        if not request.answer.set_running_or_notify_cancel():
            return
        if isinstance(error, DeadlineExceeded):
            self._stats.deadline_missed()
        request.answer.set_exception(error)

    def _check_open(self) -> None:
        if self._closed:
            raise _gone()


def _gone() -> ServerUnavailable:
    return ServerUnavailable("this revision is being unloaded; open a new session, or reset this one")
