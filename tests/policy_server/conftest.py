import importlib.util
import sys
from pathlib import Path

import grpc
import numpy as np
import pytest
from policy_api import policy_pb2_grpc
from policy_api.client import PolicyClient
from policy_api.images import encode_jpeg
from policy_api.schema import CameraSpec, EncodedImage, FieldSpec, Observation, PolicySpec

from policy_server.fixed_hub import FixedHub
from policy_server.server import PolicyServer, ServerConfig

sys.path.insert(0, str(Path(__file__).parent.parent / "helpers"))


@pytest.fixture(scope="session")
def echo():
    """The module with the echo policy."""
    location = importlib.util.spec_from_file_location("echo_server", Path(__file__).parent / "echo_server.py")
    module = importlib.util.module_from_spec(location)
    location.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def spec():
    return PolicySpec(
        model="echo",
        cameras=(CameraSpec("front", 320, 240, 64, 90), CameraSpec("wrist", 320, 240, 64, 90)),
        state=(
            *(FieldSpec(f"joint{i}", "rad", -3.0, 3.0) for i in range(1, 7)),
            FieldSpec("gripper", "m", 0.0, 0.07),
        ),
        action_space="ee_delta_position",
        action=(
            *(FieldSpec(name, "m", -0.05, 0.05) for name in ("dx", "dy", "dz")),
            FieldSpec("gripper", "m", 0.0, 0.07),
        ),
        horizon=8,
        dt_s=0.1,
        settle_s=0.2,
        firmware_zero="current",
        task="push_cube",
    )


@pytest.fixture(scope="session")
def observe(spec):
    """Make an observation with its identity in joint 1, the front camera's colour and the instruction."""

    def make(joint1=0.5, rgb=(200, 0, 50), instruction="push the red cube", step=3):
        pictures = {"front": rgb, "wrist": (0, 255, 0)}
        images = {
            name: EncodedImage("jpeg", 320, 240, encode_jpeg(np.full((240, 320, 3), c, np.uint8), 90), 5)
            for name, c in pictures.items()
        }
        state = np.array([joint1, 0, 0, 0, 0, 0, 0.03], np.float32)
        return Observation(state, images, instruction, stamp_ns=1000 + step, step=step)

    return make


@pytest.fixture
def policy(echo, spec):
    return echo.EchoPolicy(spec)


@pytest.fixture
def start(policy):
    """Serve the echo policy, or other ones, on a free port; stopped after the test."""
    running = []

    def serve(*policies, **config):
        hub = FixedHub(policies or [policy])
        policy.instructions.clear()  # of the warm-up
        server = PolicyServer(hub, ServerConfig("127.0.0.1:0", **config))
        running.append((server, hub))
        return server

    yield serve
    for server, hub in running:
        server.stop()
        hub.close()


@pytest.fixture
def server(start):
    return start()


@pytest.fixture
def client(server):
    with PolicyClient(server.address, "robot-1") as connected:
        yield connected


@pytest.fixture
def stub(server):
    """The bare service, for requests that the client would never send."""
    options = [("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(server.address, options=options) as channel:
        yield policy_pb2_grpc.PolicyServiceStub(channel)
