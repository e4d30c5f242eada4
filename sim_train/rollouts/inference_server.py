"""An inference worker as a process of this machine, and a rollout worker's line to it.

They talk over a Unix socket, so that either of them may be replaced while the other lives on.
"""

from __future__ import annotations

import signal
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection, Listener
from typing import Any, NamedTuple

import torch

from sim_train.rollouts.inference import Answer, InferenceError, Query
from sim_train.rollouts.inference_batcher import Batcher

RECONNECT_S = 60.0
"""A worker waits so long for an inference process to come back."""
_RETRY_S = 0.05


class Address(NamedTuple):
    """Where an inference process listens."""

    path: str
    key: bytes


def serve_inference(control: Connection, address: Address, device: str, rows: int) -> None:
    """Answer workers until the pool says "stop" or is gone. It may say "weights" with (`Weights`, number)."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the trainer decides what it means
    torch.set_num_threads(1)
    batcher = Batcher(device, rows)
    with Listener(address.path, family="AF_UNIX", authkey=address.key) as listener:
        threading.Thread(target=_accept, args=(listener, batcher), daemon=True).start()
        control.send(("ready", None))
        try:
            while True:
                kind, content = control.recv()
                if kind == "stop":
                    return
                batcher.load(*content)
        except (EOFError, ConnectionError):  # the pool is gone
            return


def _accept(listener: Listener, batcher: Batcher) -> None:
    while True:
        try:
            connection = listener.accept()
        except (AuthenticationError, ConnectionError, EOFError):  # it went away again
            continue
        except OSError:  # closed
            return
        threading.Thread(target=_converse, args=(connection, batcher), daemon=True).start()


def _converse(connection: Connection, batcher: Batcher) -> None:
    """Take one worker's questions; answers go back in their order, because the batcher keeps it."""

    def reply(future: Future[Answer]) -> None:
        error = future.exception()
        try:
            connection.send(("failed", str(error)) if error else ("answer", future.result()))
        except OSError:  # the worker is gone
            return

    try:
        while True:
            batcher.ask(connection.recv()).add_done_callback(reply)
    except (EOFError, OSError):
        return


class SocketLine:
    """A line to an inference process of this machine; if that is replaced, open questions are asked again."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._connection: Any = None
        self._open: deque[Query] = deque()

    def ask(self, query: Query) -> Callable[[], Answer]:
        """See `Line.ask`."""
        self._open.append(query)
        if self._connection is not None:
            try:
                self._connection.send(query)
            except OSError:
                self._connection = None
        if self._connection is None:
            self._connect()
        return self._receive

    def _receive(self) -> Answer:
        while True:
            try:
                kind, content = self._connection.recv()
                break
            except (EOFError, OSError):
                self._connect()
        self._open.popleft()
        if kind == "failed":
            raise InferenceError(content)
        return content

    def _connect(self) -> None:
        until = time.monotonic() + RECONNECT_S
        while not self._try_to_connect():
            if time.monotonic() > until:
                raise InferenceError(f"no inference process answered at {self._address.path} for {RECONNECT_S:.0f} s")
            time.sleep(_RETRY_S)

    def _try_to_connect(self) -> bool:
        try:
            self._connection = Client(self._address.path, family="AF_UNIX", authkey=self._address.key)
            for query in self._open:
                self._connection.send(query)
        except (EOFError, OSError, AuthenticationError):
            return False
        return True
