"""The WebSocket endpoint: accepts connections on a thread of its own and keeps everything slow off its event loop."""

import asyncio
import logging
import threading
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

from policy_api.errors import PolicyApiError
from policy_api.schema import MAX_MESSAGE_BYTES
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode
from websockets.http11 import Request, Response

from policy_server.decoding import Decoder
from policy_server.observing import Observer, Observers
from policy_server.openpi import wire
from policy_server.openpi.conversation import reply_to
from policy_server.openpi.mapping import ObservationKeys
from policy_server.openpi.session import OpenPiSession
from policy_server.seam import Hub
from policy_server.security import check_bind

log = logging.getLogger(__name__)

MAX_CONNECTIONS = 64
_THREADS = 8  # read and decode observations
_MAX_REASON_BYTES = 123  # of a close frame
_MAX_NAME_CHARS = 100
_GOING_AWAY = CloseCode.GOING_AWAY, "the server stops"

T = TypeVar("T")


class OpenPiServer:
    """Answers openpi's robots at `address` until `stop`."""

    def __init__(
        self,
        hub: Hub,
        address: str,
        keys: ObservationKeys | None = None,
        *,
        observer: Observer | None = None,
        insecure_bind: bool = False,
    ) -> None:
        """Listen at "host:port"; port 0 takes a free one, and `address` then names it.

        Raises ValueError for an address that is not of this machine (unless `insecure_bind`) and for keys of parts that
        no observation has, OSError if the address is taken.
        """
        if address.startswith("unix:"):
            raise ValueError(f"openpi's robots cannot reach the socket {address!r}; give host:port")
        check_bind(address, tls=False, insecure_bind=insecure_bind)
        host, _, port = address.rpartition(":")
        self._hub = hub
        self._keys = keys or ObservationKeys()
        self._keys.check([spec for spec, _, _ in hub.contracts()])
        self._observer = observer or Observers()
        self._decoder = Decoder()
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="openpi")
        self._robots: dict[ServerConnection, asyncio.Task[None]] = {}
        self._busy: set[ServerConnection] = set()  # those to whom an answer is on its way
        self._connected = 0
        self._stopping = False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="openpi", daemon=True)
        self._thread.start()
        try:
            self._server = self._run(self._listen(host.strip("[]"), int(port)))
        except OSError as error:
            self._end()
            raise OSError(f"cannot listen on {address}; is another server running there? ({error})") from error
        self.address = f"{host}:{self._server.sockets[0].getsockname()[1]}"

    def stop(self, grace_s: float = 1.0) -> None:
        """Let answers in progress go out, for at most `grace_s`, then close all connections."""
        self._run(self._stop(grace_s))
        self._end()

    def _run(self, task: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(task, self._loop).result()

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._pool.shutdown()
        self._decoder.close()

    async def _listen(self, host: str, port: int) -> Server:
        return await serve(
            self._handle,
            host,
            port,
            process_request=_health,
            origins=[None],  # a browser names its origin; robots do not
            compression=None,
            max_size=MAX_MESSAGE_BYTES,
            max_queue=1,  # a robot waits for its answer; whoever does not fills no memory
            reuse_port=False,
        )

    async def _stop(self, grace_s: float) -> None:
        self._stopping = True
        self._server.close(close_connections=False)
        await asyncio.gather(*(robot.close(*_GOING_AWAY) for robot in self._robots.keys() - self._busy))
        until = self._loop.time() + grace_s
        while self._robots and self._loop.time() < until:
            await asyncio.sleep(0.01)
        for connection, task in self._robots.items():
            connection.transport.abort()
            task.cancel()
        await self._server.wait_closed()

    async def _handle(self, connection: ServerConnection) -> None:
        if len(self._robots) >= MAX_CONNECTIONS or self._stopping:
            await connection.close(CloseCode.TRY_AGAIN_LATER, f"{MAX_CONNECTIONS} robots are here, or the server stops")
            return
        task = asyncio.current_task()
        assert task is not None
        self._robots[connection] = task
        session = None
        try:
            session = await self._opened(connection)
            log.info("openpi robot %r connected", session.robot_id)
            await connection.send(wire.pack(session.metadata()))
            await self._converse(connection, session)
        except (PolicyApiError, ValueError) as error:
            reason = str(error).encode()[:_MAX_REASON_BYTES].decode("utf-8", "ignore")
            await connection.close(CloseCode.POLICY_VIOLATION, reason)
        except ConnectionClosed:
            log.debug("openpi connection lost")  # that is how robots say goodbye, too
        finally:
            del self._robots[connection]
            self._busy.discard(connection)
            if session is not None:
                log.info("openpi robot %r has gone", session.robot_id)
                await self._loop.run_in_executor(self._pool, session.close)

    async def _opened(self, connection: ServerConnection) -> OpenPiSession:
        self._connected += 1
        query = parse_qs(urlsplit(connection.request.path).query) if connection.request else {}
        robot_id = query.get("robot_id", [f"openpi-{self._connected}"])[0]
        model = query.get("model", [""])[0]
        if not robot_id.isprintable() or max(len(robot_id), len(model)) > _MAX_NAME_CHARS:
            raise ValueError(f"robot_id and model are printable texts of at most {_MAX_NAME_CHARS} characters")
        place = partial(OpenPiSession, self._hub, self._decoder, self._keys, robot_id, model, self._observer)
        return await self._loop.run_in_executor(self._pool, place)

    async def _converse(self, connection: ServerConnection, session: OpenPiSession) -> None:
        async for data in connection:
            self._busy.add(connection)
            await connection.send(await reply_to(data, session, connection, self._pool))
            self._busy.discard(connection)
            if self._stopping:
                await connection.close(*_GOING_AWAY)


def _health(connection: ServerConnection, request: Request) -> Response | None:
    if urlsplit(request.path).path == "/healthz":
        return connection.respond(HTTPStatus.OK, "OK\n")
    return None
