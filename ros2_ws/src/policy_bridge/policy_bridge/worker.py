"""A thread that talks to the policy server, one call at a time, and hands results back to the executor."""

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from policy_api.errors import DeadlineExceeded, PolicyApiError, ServerUnavailable, UnknownSession

Value = TypeVar("Value")


@dataclass(frozen=True, eq=False)
class Answer(Generic[Value]):
    """What a call gave: a value, or the reason why there is none; and how long it took.

    `server_lost`: there is none because the server is gone, hangs, or has forgotten the session.
    """

    run: int
    value: Value | None
    error: str
    took_ns: int
    server_lost: bool = False


class Worker(Generic[Value]):
    """Runs calls in order; `wake` is called from the worker's thread when an answer waits in `answers`."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self.answers: queue.SimpleQueue[Answer[Value]] = queue.SimpleQueue()
        self._wake = wake
        self._calls: queue.SimpleQueue[tuple[int, Callable[[], Value]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="policy-client", daemon=True)
        self._thread.start()

    def submit(self, run: int, call: Callable[[], Value]) -> None:
        """Queue a call; its answer carries `run`."""
        self._calls.put((run, call))

    def close(self) -> None:
        """End the thread after the call in progress."""
        self._calls.put(None)
        self._thread.join(0.2)

    def _work(self) -> None:
        while (item := self._calls.get()) is not None:
            run, call = item
            begin_ns = time.monotonic_ns()
            server_lost = False
            try:
                value, error = call(), ""
            except PolicyApiError as failure:
                value, error = None, f"{type(failure).__name__}: {failure}"
                server_lost = isinstance(failure, (DeadlineExceeded, ServerUnavailable, UnknownSession))
            except Exception as failure:  # noqa: BLE001 - whatever it is, the run must end and the arm hold
                value, error = None, f"unexpected {type(failure).__name__}: {failure}"
            self.answers.put(Answer(run, value, error, time.monotonic_ns() - begin_ns, server_lost))
            self._wake()
