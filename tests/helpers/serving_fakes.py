"""Policies and requests for tests of the policy server's inside."""

import threading
import time
from concurrent.futures import Future
from types import SimpleNamespace

import numpy as np
from policy_api.schema import CameraSpec, FieldSpec, PolicySpec

from policy_server.seam import Priority, Request

SECOND_NS = 1_000_000_000


def make_contract(model="fake", horizon=3, cameras=1):
    return PolicySpec(
        model=model,
        cameras=tuple(CameraSpec(f"camera{i}", 64, 48, 16, 90) for i in range(cameras)),
        state=(*(FieldSpec(f"joint{i}", "rad", -3.0, 3.0) for i in range(1, 7)), FieldSpec("gripper", "m", 0.0, 0.07)),
        action_space="ee_delta_position",
        action=(
            *(FieldSpec(name, "m", -0.05, 0.05) for name in ("dx", "dy", "dz")),
            FieldSpec("gripper", "m", 0.0, 0.07),
        ),
        horizon=horizon,
        dt_s=0.1,
        settle_s=0.0,
        firmware_zero="current",
        task="push_cube",
    )


class FakePolicy:
    """dx is a hundredth of joint 1, the gripper lies in the middle of its range; keeps what it was called with.

    While `gate` is not set it stays inside `act`; `entered` counts the calls that have come.
    """

    def __init__(self, spec=None, revision="a" * 64, delay_s=0.0):
        self.spec = spec or make_contract()
        self.revision = revision
        self.delay_s = delay_s
        self.spoil = None
        self.batches = []
        self.threads = set()
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Semaphore(0)

    def act(self, images, state, instructions, temperature=0.0, **extras):
        self.threads.add(threading.get_ident())
        self.batches.append(SimpleNamespace(images=images, state=state.copy(), instructions=instructions, **extras))
        self.entered.release()
        assert self.gate.wait(20)
        time.sleep(self.delay_s)
        actions = np.zeros((len(state), self.spec.horizon, len(self.spec.action)), np.float32)
        actions[:, :, 0] = state[:, None, 0] * 0.01
        actions[:, :, 3] = 0.035
        return SimpleNamespace(actions=self.spoil(actions) if self.spoil else actions)

    def hold(self):
        """Let the next call stay inside until `gate` is set."""
        while self.entered.acquire(blocking=False):
            pass
        self.gate.clear()

    def wait_inside(self):
        """Wait until a call has come."""
        assert self.entered.acquire(timeout=20)


class CountingPolicy(FakePolicy):
    """Recurrent: dy is a thousandth of the observations seen before in the episode."""

    recurrent = True

    def act(self, images, state, instructions, temperature=0.0, *, memory):
        output = super().act(images, state, instructions, memory=memory)
        seen = [0 if before is None else before for before in memory]
        output.actions[:, :, 1] = np.array(seen)[:, None] * 0.001
        output.memory = [count + 1 for count in seen]
        return output


class PrefixPolicy(FakePolicy):
    """Conditioned: repeats the committed steps that will have been executed."""

    prefix_steps = 2

    def act(self, images, state, instructions, temperature=0.0, *, committed):
        output = super().act(images, state, instructions, committed=committed)
        for row, prefix in enumerate(committed):
            if prefix is not None:
                output.actions[row, : prefix.delay_steps] = prefix.actions[: prefix.delay_steps]
        return output


def make_request(
    joint1=0.0, *, spec=None, priority=Priority.ROBOT, left_s=20.0, arrived_ns=None, now_ns=None, **changes
):
    """A request whose deadline is in `left_s` seconds."""
    spec = spec or make_contract()
    now_ns = time.monotonic_ns() if now_ns is None else now_ns
    values = {
        "images": {c.name: np.zeros((c.input_size, c.input_size, 3), np.uint8) for c in spec.cameras},
        "state": np.array([joint1, 0, 0, 0, 0, 0, 0.03], np.float32),
        "instruction": "push the red cube",
        "committed": None,
        "memory": None,
        "priority": priority,
        "arrived_ns": now_ns if arrived_ns is None else arrived_ns,
        "deadline_ns": now_ns + round(left_s * SECOND_NS),
        "wanted": lambda: True,
        "answer": Future(),
    }
    return Request(**{**values, **changes})
