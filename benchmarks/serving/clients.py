"""The clients of the benchmark, each a process: `python -m benchmarks.serving.clients KIND ADDRESS [--tls DIR]`.

A number on standard input is answered by a line of JSON: how long each of so many requests took, in microseconds.
Requests follow each other without a pause, or begin `--every-s` after each other; several robots ask at the same time,
each so often.
"""

import argparse
import itertools
import json
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import numpy as np
from grpc_health.v1 import health_pb2, health_pb2_grpc
from policy_api import policy_pb2 as pb
from policy_api import serde
from policy_api.channel import TlsFiles
from policy_api.client import PolicyClient
from policy_api.malloc import keep_large_blocks
from policy_api.schema import MAX_MESSAGE_BYTES, Observation

from benchmarks.serving.contract import HORIZON, JOINTS, contract
from benchmarks.serving.servers import BARE_METHOD
from policy_server.bench.observations import made_up

Ask = Callable[[], None]
TIMEOUT_S = 10.0
_PROBE_EVERY_S = 0.02


def ours(address: str, number: int, tls: Path | None) -> Ask:
    """A robot of the policy server."""
    client = PolicyClient(address, f"robot-{number}", credentials=None if tls is None else TlsFiles.of(tls))
    observations = made_up(client.open_session(), seed=number)

    def ask() -> None:
        chunk = client.infer(next(observations), TIMEOUT_S)
        assert chunk.actions.shape == (HORIZON, JOINTS)

    return ask


def bare(address: str, number: int, tls: Path | None) -> Ask:
    """The least that a client can do: build the message, send it, read the numbers."""
    size = [("grpc.max_send_message_length", MAX_MESSAGE_BYTES), ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES)]
    channel = grpc.insecure_channel(address, options=size)
    call = channel.unary_unary(BARE_METHOD, pb.InferRequest.SerializeToString, pb.ActionChunk.FromString)
    observations: Iterator[Observation] = made_up(contract(), seed=number)
    seq = itertools.count(1)

    def ask() -> None:
        request = serde.observation_to_proto(next(observations))
        request.seq = next(seq)
        reply = call(request, timeout=TIMEOUT_S)
        actions = np.frombuffer(reply.actions.data, dtype="<f4").reshape(HORIZON, JOINTS)
        assert np.isfinite(actions).all()

    return ask


def health(address: str, number: int, tls: Path | None) -> Ask:
    """Asks whether the server is well, fifty times a second."""
    stub = health_pb2_grpc.HealthStub(grpc.insecure_channel(address))
    probe = health_pb2.HealthCheckRequest()

    def ask() -> None:
        assert stub.Check(probe, timeout=TIMEOUT_S).status == health_pb2.HealthCheckResponse.SERVING

    return ask


KINDS = {"ours": ours, "bare": bare, "health": health}


def timed(ask: Ask, requests: int, every_s: float, late_s: float) -> list[float]:
    """Microseconds of each request; the first begins after `late_s`, the others `every_s` after each other."""
    took = []
    due = time.perf_counter() + late_s
    for _ in range(requests):
        time.sleep(max(0.0, due - time.perf_counter()))
        begin_ns = time.perf_counter_ns()
        ask()
        took.append((time.perf_counter_ns() - begin_ns) / 1000)
        due += every_s
    return took


def main() -> None:
    """Answer numbers until standard input closes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=sorted(KINDS))
    parser.add_argument("address")
    parser.add_argument("--tls", type=Path, help="folder with the robot's certificate")
    parser.add_argument("--robots", type=int, default=1)
    parser.add_argument("--every-s", type=float, default=0.0, help="between the beginnings of a robot's requests")
    told = parser.parse_args()
    keep_large_blocks()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    robots = [KINDS[told.kind](told.address, number, told.tls) for number in range(told.robots)]
    every_s = _PROBE_EVERY_S if told.kind == "health" else told.every_s
    print("ready", flush=True)
    for line in sys.stdin:
        found: list[list[float]] = [[] for _ in robots]

        def work(number: int, requests: int, found: list[list[float]] = found) -> None:
            found[number] = timed(robots[number], requests, every_s, every_s * number / len(robots))

        threads = [threading.Thread(target=work, args=(i, int(line))) for i in range(len(robots))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        print(json.dumps([round(each, 1) for took in found for each in took]), flush=True)


if __name__ == "__main__":
    main()
