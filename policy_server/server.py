"""The server's life: bind, serve, drain."""

import ipaddress
import logging
import os
import signal
import sys
import threading
from concurrent import futures
from types import FrameType
from typing import NoReturn

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from policy_api import policy_pb2, policy_pb2_grpc
from policy_api.schema import MAX_MESSAGE_BYTES

from policy_server.inference import InferenceEngine
from policy_server.policy import Policy
from policy_server.service import PolicyService
from policy_server.sessions import SessionTable

SERVICE_NAME = policy_pb2.DESCRIPTOR.services_by_name["PolicyService"].full_name
DEFAULT_ADDRESS = "127.0.0.1:50051"
DEFAULT_LEASE_S = 600.0

_THREADS = 32  # one waits for each call in progress
_DRAIN_S = 1.0
_EXIT_S = 1.2
_OPTIONS = [
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.so_reuseport", 0),  # a second server on the same port must fail, not share its calls
]


class PolicyServer:
    """A server that answers at `address` until `stop`."""

    def __init__(self, policy: Policy, address: str = DEFAULT_ADDRESS, lease_s: float = DEFAULT_LEASE_S) -> None:
        """Warm the policy up, bind and serve. Port 0 takes a free port; `address` then names it.

        Raises ValueError for an address that is not loopback, OSError if the port is taken, ServerFault or
        InvalidSpec for a policy that cannot act.
        """
        host = loopback_host(address)
        engine = InferenceEngine(policy)
        engine.warm_up()
        self._health = health.HealthServicer(
            experimental_non_blocking=True, experimental_thread_pool=futures.ThreadPoolExecutor(2)
        )
        self._server = grpc.server(
            futures.ThreadPoolExecutor(_THREADS, thread_name_prefix="call"),
            options=_OPTIONS,
            maximum_concurrent_rpcs=2 * _THREADS,
        )
        service = PolicyService(engine, SessionTable(round(lease_s * 1e9)))
        policy_pb2_grpc.add_PolicyServiceServicer_to_server(service, self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        reflection.enable_server_reflection((SERVICE_NAME, health.SERVICE_NAME, reflection.SERVICE_NAME), self._server)
        try:
            port = self._server.add_insecure_port(address)
        except RuntimeError as error:
            raise OSError(f"cannot listen on {address}; is another server running there? ({error})") from error
        self.address = f"{host}:{port}"
        self._server.start()
        for name in ("", SERVICE_NAME):
            self._health.set(name, health_pb2.HealthCheckResponse.SERVING)

    def stop(self) -> None:
        """Report NOT_SERVING, let calls in progress end for a second, then cut them."""
        self._health.enter_graceful_shutdown()
        self._server.stop(_DRAIN_S).wait(_EXIT_S)


def loopback_host(address: str) -> str:
    """Host part of a "host:port" on the loopback interface; ValueError for anything else."""
    host, colon, port = address.rpartition(":")
    if not colon or not host or not port.isdigit() or int(port) > 65535:
        raise ValueError(f"address {address!r} is not host:port, for example {DEFAULT_ADDRESS}")
    try:
        is_loopback = host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        is_loopback = False
    if not is_loopback:
        raise ValueError(
            f"refusing to listen on {host!r}: the connection is not encrypted and asks nobody who they are. "
            "Use 127.0.0.1, and an SSH tunnel to reach the server from another machine"
        )
    return host


def run(policy: Policy, address: str = DEFAULT_ADDRESS) -> NoReturn:
    """Serve until SIGTERM or SIGINT, then drain and exit with code 0 within two seconds."""
    stopping = threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    server = PolicyServer(policy, address)
    print(
        f"policy_server ready on {server.address}: model {policy.spec.model}, "
        f"revision {policy.revision[:12]}, contract {policy.spec.spec_hash[:12]}",
        flush=True,
    )
    stopping.wait()
    server.stop()
    logging.shutdown()
    sys.stdout.flush()
    os._exit(0)  # a normal exit would wait for a call that is still inside the policy
