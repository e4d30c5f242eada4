"""The registers of one session: epoch, newest request, one running and one pending request, memory.

(epoch, seq) only ever rises, so a request that is lost, repeated or overtaken does no harm: an old one is refused, and
the newest one supersedes whatever has not yet reached the policy.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future

from policy_api.errors import StaleRequest, Superseded, UnknownSession

from policy_server.seam import Answer, Request

Submit = Callable[[Request], None]


class Slot:
    """One session's place at a worker. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # cancelling or refusing a request calls back in the same thread
        self._epoch = 1
        self._newest_seq = 0
        self._running: Request | None = None  # at the worker: queued or in the policy
        self._pending: tuple[Request, Submit] | None = None
        self._memory: object | None = None
        self._ended: str | None = None

    @property
    def epoch(self) -> int:
        """Counts episodes from 1."""
        return self._epoch

    def accept(self, epoch: int, seq: int) -> None:
        """Register a request before anything is done for it. Raises StaleRequest, UnknownSession."""
        with self._lock:
            self._check_open()
            if epoch != self._epoch:
                raise StaleRequest(
                    f"request is of epoch {epoch}, the session is in epoch {self._epoch}; "
                    "send requests with the epoch of the latest OpenSession or ResetSession"
                )
            if seq <= self._newest_seq:
                raise StaleRequest(f"request {seq} came after request {self._newest_seq}; send a newer observation")
            self._newest_seq = seq

    def offer(self, epoch: int, seq: int, request: Request, submit: Submit) -> None:
        """Hand an accepted request to its worker, now or as soon as the one inside the policy is done.

        What waits is superseded. Raises Superseded, StaleRequest or UnknownSession if it is of no use any more.
        """
        with self._lock:
            self.check(epoch, seq)
            if self._pending is not None:
                self._pending[0].answer.cancel()
                self._pending = None
            running = self._running
            if running is not None and not running.answer.cancel():
                self._pending = request, submit  # started by `_done`, with what the policy remembers until then
            else:
                self._start(request, submit)

    def check(self, epoch: int, seq: int) -> None:
        """Raise what is the matter if a request is not the newest one of a session that goes on."""
        with self._lock:
            self.check_epoch(epoch)
            if seq < self._newest_seq:
                raise Superseded(f"request {seq} was superseded by request {self._newest_seq}")

    def check_epoch(self, epoch: int) -> None:
        """Raise StaleRequest if the session was reset since, UnknownSession if it has ended."""
        with self._lock:
            self._check_open()
            if epoch != self._epoch:
                raise StaleRequest(f"the session was reset to epoch {self._epoch} while epoch {epoch} was answered")

    def reset(self) -> int:
        """Begin the next epoch and return it: requests are dropped, memory is cleared. UnknownSession."""
        with self._lock:
            self._check_open()
            self._epoch += 1
            self._memory = None
            self._drop()
            return self._epoch

    def end(self, reason: str) -> None:
        """End the session; calls still under way are told the reason."""
        with self._lock:
            self._ended = reason
            self._memory = None
            self._drop()

    def _start(self, request: Request, submit: Submit) -> None:
        epoch = self._epoch
        request.memory = self._memory
        self._running = request
        request.answer.add_done_callback(lambda answer: self._done(request, epoch, answer))
        submit(request)

    def _done(self, request: Request, epoch: int, answer: "Future[Answer]") -> None:
        with self._lock:
            if epoch == self._epoch and not answer.cancelled() and answer.exception() is None:
                self._memory = answer.result().memory
            if self._running is not request:
                return
            self._running = None
            if self._pending is not None:
                (request, submit), self._pending = self._pending, None
                self._start(request, submit)

    def _drop(self) -> None:
        if self._pending is not None:
            self._pending[0].answer.cancel()
            self._pending = None
        if self._running is not None:
            self._running.answer.cancel()

    def _check_open(self) -> None:
        if self._ended is not None:
            raise UnknownSession(f"{self._ended}; open a new session")
