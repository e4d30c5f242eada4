"""A policy whose answer says what it was shown; run as a program it serves that policy."""

import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from policy_api.schema import PolicySpec

from policy_server.fixed_hub import FixedHub
from policy_server.server import ServerConfig, run


class EchoPolicy:
    """dx carries joint 1, dy the red of the first camera, dz its blue, the gripper the instruction's length."""

    revision = "e" * 64

    def __init__(self, spec):
        self.spec = spec
        self.delay_s = 0.0
        self.spoil = None  # a function of the actions: what goes wrong
        self.instructions = []
        self.overlap = threading.Lock()

    def act(self, images, state, instructions, temperature=0.0):
        assert self.overlap.acquire(blocking=False), "two calls at once"
        try:
            self.instructions += instructions
            time.sleep(self.delay_s)
            actions = np.zeros((len(instructions), self.spec.horizon, 4), np.float32)
            mean = images[self.spec.cameras[0].name].mean(axis=(1, 2))
            actions[:, :, 0] = state[:, None, 0] * 0.01
            actions[:, :, 1] = mean[:, None, 0] / 255 * 0.05
            actions[:, :, 2] = mean[:, None, 2] / 255 * 0.05
            actions[:, :, 3] = np.array([len(text) for text in instructions])[:, None] * 0.001
            return SimpleNamespace(actions=self.spoil(actions) if self.spoil else actions)
        finally:
            self.overlap.release()


if __name__ == "__main__":
    policy = EchoPolicy(PolicySpec.from_json(Path(sys.argv[1]).read_text()))
    hub = FixedHub([policy])
    if len(sys.argv) > 3:
        policy.delay_s = float(sys.argv[3])
    run(hub, ServerConfig(sys.argv[2]))
