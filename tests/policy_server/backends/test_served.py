"""A scripted policy behind the real server: the control step of every observation reaches it."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from policy_api.client import PolicyClient
from policy_api.images import encode_jpeg
from policy_api.schema import EncodedImage, Observation

from policy_server.backends.scripted import load_scripted
from policy_server.fixed_hub import FixedHub
from policy_server.server import PolicyServer, ServerConfig

FRAME = EncodedImage("jpeg", 320, 240, encode_jpeg(np.zeros((240, 320, 3), np.uint8), 90), 0)
STATE = np.array([0, 1, -1, 0, 0, 0, 0.02], np.float32)


@pytest.fixture
def server():
    hub = FixedHub([load_scripted("wave")])
    running = PolicyServer(hub, ServerConfig("127.0.0.1:0"))
    yield running
    running.stop()
    hub.close()


def test_chunks_follow_the_step_of_the_observation_whoever_else_asks(server):
    motion = load_scripted("wave")

    def play(begin):
        with PolicyClient(server.address, f"robot-{begin}") as client:
            client.open_session(timeout_s=30)
            for step in range(begin, begin + 60, 4):
                chunk = client.infer(Observation(STATE, {"front": FRAME}, "wave", 0, step), 30)
                assert chunk.first_step == step
                expected = motion.act({}, STATE[None], ["wave"], steps=[step]).actions[0]
                np.testing.assert_array_equal(chunk.actions, expected)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(play, (0, 3, 17, 1000)))
