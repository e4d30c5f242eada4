"""A robot that asks LeRobot's server with LeRobot's own messages, raw pictures as it sends them.

Run by LeRobot's environment: `robot_client.py ADDRESS`. Numbers in, lines of JSON out, as the other clients do.
"""

import json
import sys
import time
from typing import Any

import grpc
import numpy as np
from lerobot_import import declare_operators

declare_operators()
from lerobot.async_inference.helpers import TimedObservation  # noqa: E402 - operators must be there first
from lerobot.transport import services_pb2, services_pb2_grpc  # noqa: E402
from lerobot.transport.utils import (  # noqa: E402
    bytes_to_python_object,
    grpc_channel_options,
    python_object_to_bytes,
    send_bytes_in_chunks,
)

WIDTH, HEIGHT, HORIZON, JOINTS = 640, 480, 50, 7
TIMEOUT_S = 10.0


class Robot:
    """Asks again and again; every observation has a number of its own."""

    def __init__(self, address: str) -> None:
        self._stub = services_pb2_grpc.AsyncInferenceStub(grpc.insecure_channel(address, grpc_channel_options()))
        self._stub.Ready(services_pb2.Empty(), timeout=TIMEOUT_S)
        random = np.random.default_rng(0)
        self._pictures = [random.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8) for _ in range(4)]
        self._step = 0

    def ask(self) -> None:
        """One observation there, one chunk back."""
        self._step += 1
        observation: dict[str, Any] = {f"joint{i}.pos": 0.1 * i for i in range(JOINTS)}
        observation |= dict.fromkeys(("front", "wrist"), self._pictures[self._step % 4])
        observation["task"] = "bench"
        timed = TimedObservation(timestamp=time.time(), timestep=self._step, observation=observation, must_go=True)
        data = python_object_to_bytes(timed)
        self._stub.SendObservations(
            send_bytes_in_chunks(data, services_pb2.Observation, silent=True), timeout=TIMEOUT_S
        )
        reply = self._stub.GetActions(services_pb2.Empty(), timeout=TIMEOUT_S)
        chunk = bytes_to_python_object(reply.data)
        assert len(chunk) == HORIZON and chunk[0].get_timestep() == self._step


def main() -> None:
    """Answer numbers until standard input closes."""
    robot = Robot(sys.argv[1])
    print("ready", flush=True)
    for line in sys.stdin:
        took = []
        for _ in range(int(line)):
            begin_ns = time.perf_counter_ns()
            robot.ask()
            took.append((time.perf_counter_ns() - begin_ns) / 1000)
        print(json.dumps([round(each, 1) for each in took]), flush=True)


if __name__ == "__main__":
    main()
