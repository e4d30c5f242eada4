"""Eight robots at once, batching on: nobody is ever answered from what another one saw, said or was before."""

import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
from policy_api.client import PolicyClient
from policy_api.images import encode_jpeg
from policy_api.schema import EncodedImage, Observation

ROBOTS, EPISODES, TURNS = 8, 3, 15


class MirrorPolicy:
    """dx mirrors joint 1, dy the colour, dz the length of the instruction, the gripper who was seen before.

    Its memory of a session is the joint 1 that it saw and how often.
    """

    revision = "c" * 64
    recurrent = True

    def __init__(self, spec):
        self.spec = spec

    def act(self, images, state, instructions, temperature=0.0, *, memory):
        time.sleep(0.004)
        actions = np.zeros((len(state), self.spec.horizon, 4), np.float32)
        actions[:, :, 0] = state[:, None, 0] * 0.01
        actions[:, :, 1] = images["front"].mean(axis=(1, 2, 3))[:, None] / 255 * 0.05
        actions[:, :, 2] = np.array([len(text) for text in instructions])[:, None] * 0.001
        for row, (before, joint1) in enumerate(zip(memory, state[:, 0], strict=True)):
            known = before or (joint1, 0)
            actions[row, :, 3] = 0.001 * known[1] if known[0] == joint1 else 0.07
        counts = [(float(s[0]), 1 + (before or (0, 0))[1]) for s, before in zip(state, memory, strict=True)]
        return SimpleNamespace(actions=actions, memory=counts)


@pytest.fixture
def server(start, spec):
    return start(MirrorPolicy(spec))


def play(server, number, priority):
    """All episodes of one robot: (wrong answers, sizes of the batches it was in)."""
    grey = 30 * number
    frame = EncodedImage("jpeg", 320, 240, encode_jpeg(np.full((240, 320, 3), grey, np.uint8), 95), 5)
    instruction = "x" * (10 + 3 * number)
    wrong, batches = [], []
    with PolicyClient(server.address, f"robot-{number}", priority=priority) as client:
        client.open_session()
        for episode in range(EPISODES):
            joint1 = 0.1 + 0.25 * number + 0.05 * episode
            state = np.array([joint1, 0, 0, 0, 0, 0, 0.03], np.float32)
            for turn in range(TURNS):
                step = 1000 * number + turn
                observation = Observation(state, {"front": frame, "wrist": frame}, instruction, step, step)
                chunk = client.infer(observation, 30)
                expected = [0.01 * joint1, grey / 255 * 0.05, 0.001 * len(instruction), 0.001 * turn]
                if not np.allclose(chunk.actions, expected, atol=4e-4) or chunk.first_step != step:
                    wrong.append((episode, turn, chunk.actions[0], expected))
                batches.append(chunk.timing.batch)
            client.reset_session(f"episode {episode + 1}")
    return wrong, batches


def test_nobody_gets_the_answer_of_another(server):
    with ThreadPoolExecutor(ROBOTS) as pool:
        played = list(pool.map(lambda n: play(server, n, "evaluation" if n % 3 == 2 else "robot"), range(ROBOTS)))
    assert [wrong for wrong, _ in played] == [[]] * ROBOTS
    batches = [batch for _, sizes in played for batch in sizes]
    assert len(batches) == ROBOTS * EPISODES * TURNS
    assert np.mean(np.array(batches) > 1) > 0.3, "most were answered together with others"
