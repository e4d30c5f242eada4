"""LeRobot's own `PolicyServer` of `async_inference` with a policy that costs nothing; run by LeRobot's environment.

What is left out is the policy with its processors. What stays is the way of an observation to it and of a chunk back,
and the chunk is made as LeRobot makes it. The pause that it makes by default before each answer is set to zero.
"""

import logging
import sys
from concurrent import futures
from typing import Any

import grpc
import torch
from lerobot_import import declare_operators

declare_operators()
from lerobot.async_inference.configs import PolicyServerConfig  # noqa: E402 - operators must be there first
from lerobot.async_inference.policy_server import PolicyServer  # noqa: E402
from lerobot.transport import services_pb2_grpc  # noqa: E402

HORIZON, JOINTS = 50, 7


class TrivialServer(PolicyServer):
    """Answers with the observed state, fifty times."""

    def _predict_action_chunk(self, observation: Any) -> Any:  # noqa: ANN401 - LeRobot's method and types
        state = torch.tensor([observation.get_observation()[f"joint{i}.pos"] for i in range(JOINTS)])
        actions = state.repeat(HORIZON, 1)
        return self._time_action_chunk(observation.get_timestamp(), list(actions), observation.get_timestep())


def main() -> None:
    """Serve until standard input closes."""
    logging.disable(logging.INFO)
    config = PolicyServerConfig(host="127.0.0.1", port=1, fps=30, inference_latency=0.0, obs_queue_timeout=2)
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=4))
    services_pb2_grpc.add_AsyncInferenceServicer_to_server(TrivialServer(config), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(f"127.0.0.1:{port}", flush=True)
    sys.stdin.read()
    server.stop(0)


if __name__ == "__main__":
    main()
