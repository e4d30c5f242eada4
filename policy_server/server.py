"""The server's life: bind, serve, drain."""

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent import futures
from dataclasses import dataclass, field
from types import FrameType
from typing import NoReturn

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from policy_api import policy_pb2, policy_pb2_grpc
from policy_api.schema import MAX_MESSAGE_BYTES

from policy_server.calls import PolicyCalls
from policy_server.denied import Denied
from policy_server.front import Front
from policy_server.guard import CallGuard
from policy_server.observing import Observer, Observers
from policy_server.seam import Hub
from policy_server.security import check_bind, peer_name
from policy_server.service import PolicyService
from policy_server.sessions import MAX_SESSIONS, SessionTable

SERVICE_NAME = policy_pb2.DESCRIPTOR.services_by_name["PolicyService"].full_name
ADMIN_NAME = policy_pb2.DESCRIPTOR.services_by_name["PolicyAdmin"].full_name
DEFAULT_ADDRESS = "127.0.0.1:50051"

_THREADS = 3 * MAX_SESSIONS + 16
"""Two requests and one watch a session, and some for health, reflection and strangers. They start when needed."""
_ADMIN_THREADS = 8
_DRAIN_NS = 1_000_000_000
_EXIT_S = 1.2
_OPTIONS = [
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_metadata_size", 8 * 1024),
    ("grpc.absolute_max_metadata_size", 16 * 1024),
    ("grpc.max_concurrent_streams", 64),  # of one connection: two requests and one watch of twenty robots
    ("grpc.keepalive_time_ms", 20_000),  # a robot that lost its power leaves no stream behind
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.server_handshake_timeout_ms", 5_000),  # who connects and says nothing is hung up on
    ("grpc.so_reuseport", 0),  # a second server on the same port must fail, not share its calls
]


@dataclass(frozen=True)
class AdminConfig:
    """The port for whoever looks after the server."""

    servicer: policy_pb2_grpc.PolicyAdminServicer
    address: str
    credentials: grpc.ServerCredentials | None = None


@dataclass(frozen=True)
class ServerConfig:
    """Where and how to serve.

    address: "host:port" or "unix:PATH". Port 0 takes a free port.
    credentials: of mutual TLS; None: plaintext, on loopback only unless `insecure_bind`.
    sessions: empty; whoever looks at sessions from outside keeps it.
    observer: told of every call and every answer.
    denied: certificates that are refused at both ports.
    """

    address: str = DEFAULT_ADDRESS
    credentials: grpc.ServerCredentials | None = None
    insecure_bind: bool = False
    sessions: SessionTable = field(default_factory=SessionTable)
    observer: Observer = field(default_factory=Observers)
    admin: AdminConfig | None = None
    denied: Denied | None = None


class PolicyServer:
    """A server that answers at `address` until `stop`."""

    def __init__(self, behind: Hub | Front, config: ServerConfig | None = None) -> None:
        """Bind and serve what a hub has in memory, or what a front reaches elsewhere.

        `address` and `admin_address` then name the ports that were taken.

        Raises ValueError for an address that is not allowed without certificates, OSError if a port is taken.
        """
        config = config or ServerConfig()
        check_bind(config.address, config.credentials is not None, config.insecure_bind)
        server = _grpc_server(_THREADS, "call", config)
        self.address = _bind(server, config.address, config.credentials)
        self._servers = [server]
        self.admin_address = self._add_admin(config.admin, config) if config.admin is not None else ""
        self._health = health.HealthServicer(
            experimental_non_blocking=True, experimental_thread_pool=futures.ThreadPoolExecutor(2)
        )
        self._calls = behind if isinstance(behind, Front) else PolicyCalls(behind, config.sessions, config.observer)
        policy_pb2_grpc.add_PolicyServiceServicer_to_server(PolicyService(self._calls, peer_name), server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        reflection.enable_server_reflection((SERVICE_NAME, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
        for server in self._servers:
            server.start()
        for name in ("", SERVICE_NAME, *(spec.model for spec, _, _ in behind.contracts())):
            self._set_serving(name)
        self._unsubscribe = behind.subscribe(self._set_serving)

    def stop(self) -> None:
        """Report NOT_SERVING, tell robots that watch, let calls in progress end for a second, then cut them."""
        self._unsubscribe()
        self._health.enter_graceful_shutdown()
        self._calls.drain(_DRAIN_NS)
        for ended in [server.stop(_DRAIN_NS * 1e-9) for server in self._servers]:
            ended.wait(_EXIT_S)
        self._calls.close()

    def _add_admin(self, admin: AdminConfig, config: ServerConfig) -> str:
        check_bind(admin.address, admin.credentials is not None)
        server = _grpc_server(_ADMIN_THREADS, "admin", config)
        policy_pb2_grpc.add_PolicyAdminServicer_to_server(admin.servicer, server)
        reflection.enable_server_reflection((ADMIN_NAME, reflection.SERVICE_NAME), server)
        self._servers.append(server)
        return _bind(server, admin.address, admin.credentials)

    def _set_serving(self, name: str) -> None:
        self._health.set(name, health_pb2.HealthCheckResponse.SERVING)


def run(behind: Hub | Front, config: ServerConfig | None = None, at_end: Sequence[Callable[[], None]] = ()) -> NoReturn:
    """Serve until SIGTERM or SIGINT, then drain, call what is in `at_end` and exit with code 0 within two seconds."""
    stopping = threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    server = PolicyServer(behind, config)
    models = "; ".join(
        f"model {spec.model}, revision {revision[:12]}, contract {spec.spec_hash[:12]}"
        for spec, revision, _ in behind.contracts()
    )
    admin = f" (admin on {server.admin_address})" if server.admin_address else ""
    print(f"policy_server ready on {server.address}: {models}{admin}", flush=True)
    stopping.wait()
    server.stop()
    for end in at_end:
        end()
    logging.shutdown()
    sys.stdout.flush()
    os._exit(0)  # a normal exit would wait for a call that is still inside the policy


def _grpc_server(threads: int, name: str, config: ServerConfig) -> grpc.Server:
    return grpc.server(
        futures.ThreadPoolExecutor(threads, thread_name_prefix=name),
        interceptors=(CallGuard(config.observer, config.denied),),
        options=_OPTIONS,
        maximum_concurrent_rpcs=threads,  # one more is refused at once instead of waiting for a thread
    )


def _bind(server: grpc.Server, address: str, credentials: grpc.ServerCredentials | None) -> str:
    """Listen; the address with the port that was taken. OSError."""
    try:
        if credentials is None:
            port = server.add_insecure_port(address)
        else:
            port = server.add_secure_port(address, credentials)
    except RuntimeError as error:
        raise OSError(f"cannot listen on {address}; is another server running there? ({error})") from error
    return address if address.startswith("unix:") else f"{address.rpartition(':')[0]}:{port}"
