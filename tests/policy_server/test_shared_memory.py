"""Frames that reach a real server in shared memory, and depth frames."""

from dataclasses import replace

import numpy as np
import pytest
from policy_api.client import PolicyClient
from policy_api.errors import InvalidObservation
from policy_api.images import encode_z16
from policy_api.schema import DepthRange, EncodedImage

from policy_server import service
from policy_server.fixed_hub import FixedHub
from policy_server.server import PolicyServer, ServerConfig


@pytest.fixture(params=["127.0.0.1:0", "unix:{}/policy.sock"])
def local_server(request, policy, tmp_path):
    running = PolicyServer(FixedHub([policy]), ServerConfig(request.param.format(tmp_path)))
    yield running
    running.stop()


def test_shared_frames_give_the_answer_of_sent_ones(local_server, observe):
    answers = []
    for shared_memory in (False, True):
        with PolicyClient(local_server.address, "robot", shared_memory=shared_memory) as client:
            client.open_session()
            answers.append(client.infer(observe(rgb=(10, 200, 30)), 5).actions)
    np.testing.assert_array_equal(answers[0], answers[1])


def test_a_caller_on_another_host_is_refused(server, observe, monkeypatch):
    monkeypatch.setattr(service, "is_local_peer", lambda peer: False)
    with PolicyClient(server.address, "robot", shared_memory=True) as client:
        client.open_session()
        with pytest.raises(InvalidObservation, match=r"only from a robot on the server's own host"):
            client.infer(observe(), 5)


@pytest.mark.parametrize("shared_memory", [False, True])
def test_depth_is_shown_to_the_policy_as_a_grey_picture(echo, spec, observe, shared_memory):
    deep = replace(spec, cameras=(replace(spec.cameras[0], depth=DepthRange(0.0, 2.0)), spec.cameras[1]))
    running = PolicyServer(FixedHub([echo.EchoPolicy(deep)]), ServerConfig("127.0.0.1:0"))
    try:
        with PolicyClient(running.address, "robot", shared_memory=shared_memory) as client:
            client.open_session(expect_spec=deep)
            observation = observe()
            frame = EncodedImage("z16", 320, 240, encode_z16(np.full((240, 320), 500, np.uint16)), 5)
            seen = replace(observation, images={**observation.images, "front": frame})
            actions = client.infer(seen, 5).actions
            with pytest.raises(InvalidObservation, match="a depth camera"):
                client.infer(observation, 5)
    finally:
        running.stop()
    np.testing.assert_allclose(actions[0, 1:3], 64 / 255 * 0.05, rtol=1e-5)  # 0.5 of 2 m, red and blue alike
