"""A TCP proxy that spoils a connection: latency, jitter, bandwidth, slicing, resets, a black hole, loss by reset."""

import asyncio
import contextlib
import socket
import struct
import threading
import time
from dataclasses import dataclass, replace
from random import Random
from types import TracebackType
from typing import Any, Final

_READ_BYTES: Final = 64 * 1024
_LOOK_S: Final = 0.01
_START_S: Final = 5.0


@dataclass(frozen=True)
class LinkFaults:
    """What happens to both directions of every connection.

    latency_s, jitter_s: each piece of data comes so much later, in order; the jitter is added at random, 0 to so much.
    bytes_per_s: bandwidth of each direction; 0 is unlimited. slice_bytes: largest piece that is passed on; 0: as read.
    blackhole: nothing is passed on, and connections stay open. loss: probability that a piece resets its connection.
    """

    latency_s: float = 0.0
    jitter_s: float = 0.0
    bytes_per_s: float = 0.0
    slice_bytes: int = 0
    blackhole: bool = False
    loss: float = 0.0

    def __post_init__(self) -> None:
        for name in ("latency_s", "jitter_s", "bytes_per_s", "slice_bytes"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}; expected 0 or more")
        if not 0.0 <= self.loss <= 1.0:
            raise ValueError(f"loss is {self.loss}; expected 0 to 1")


class TcpProxy:
    """Listens on a loopback port and connects each caller to `upstream` (host:port). A context manager.

    Its faults may be changed at any time, from any thread; they begin with the next piece of data.
    """

    def __init__(self, upstream: str, seed: int = 0) -> None:
        self._host, _, port = upstream.rpartition(":")
        self._port = int(port)
        self._random = Random(seed)
        self._faults = LinkFaults()
        self._connections: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self.address = ""
        self.questions: list[tuple[int, int]] = []
        """Monotonic ns and bytes of each piece that callers sent, whether or not it was passed on."""
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)
        self._thread.start()
        if not self._ready.wait(_START_S):
            raise RuntimeError("the proxy did not start listening")

    def set(self, **changes: Any) -> None:  # noqa: ANN401 - the fields of LinkFaults
        """Exactly these faults from now on; none ends them."""
        self._faults = replace(LinkFaults(), **changes)

    def reset(self) -> None:
        """Reset every connection that is open."""
        self._loop.call_soon_threadsafe(self._reset_all)

    def close(self) -> None:
        """Reset what is open and stop listening."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_START_S)

    def __enter__(self) -> "TcpProxy":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._connect, "127.0.0.1", 0))
        self.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self._ready.set()
        self._loop.run_forever()
        server.close()
        self._reset_all()
        for task in list(self._tasks):
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*self._tasks, return_exceptions=True))
        self._loop.close()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            up_reader, up_writer = await asyncio.open_connection(self._host, self._port)
        except OSError:
            _reset(writer)
            return
        self._connections |= {writer, up_writer}
        for source, sink in ((reader, up_writer), (up_reader, writer)):
            task = self._loop.create_task(self._pump(source, sink, (writer, up_writer)))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pump(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, both: tuple[asyncio.StreamWriter, ...]
    ) -> None:
        pieces: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(1000)
        writing = self._loop.create_task(self._write(pieces, sink, both))
        due = 0.0
        with contextlib.suppress(OSError, asyncio.CancelledError):
            while data := await source.read(_READ_BYTES):
                if sink is both[1]:
                    self.questions.append((time.monotonic_ns(), len(data)))
                faults = self._faults
                due = max(due, self._loop.time() + faults.latency_s + self._random.random() * faults.jitter_s)
                size = faults.slice_bytes or len(data)
                for start in range(0, len(data), size):
                    await pieces.put((due, data[start : start + size]))
        await self._finish(pieces, writing, due)
        for writer in both:
            self._connections.discard(writer)
            writer.close()

    async def _finish(
        self, pieces: "asyncio.Queue[tuple[float, bytes]]", writing: "asyncio.Task[None]", due: float
    ) -> None:
        with contextlib.suppress(asyncio.CancelledError, OSError):
            if not writing.done():
                await pieces.put((due, b""))
                await writing

    async def _write(
        self,
        pieces: "asyncio.Queue[tuple[float, bytes]]",
        sink: asyncio.StreamWriter,
        both: tuple[asyncio.StreamWriter, ...],
    ) -> None:
        with contextlib.suppress(OSError, asyncio.CancelledError):
            while True:
                due, data = await pieces.get()
                await asyncio.sleep(max(0.0, due - self._loop.time()))
                while self._faults.blackhole:
                    await asyncio.sleep(_LOOK_S)
                if not data or sink.is_closing():
                    return
                if self._faults.loss and self._random.random() < self._faults.loss:
                    for writer in both:
                        _reset(writer)
                    return
                sink.write(data)
                await sink.drain()
                if self._faults.bytes_per_s:
                    await asyncio.sleep(len(data) / self._faults.bytes_per_s)

    def _reset_all(self) -> None:
        for writer in self._connections:
            _reset(writer)
        self._connections.clear()


def _reset(writer: asyncio.StreamWriter) -> None:
    """RST instead of FIN."""
    handle = writer.get_extra_info("socket")
    if handle is not None:
        with contextlib.suppress(OSError):
            handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
