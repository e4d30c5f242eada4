"""Policies whose answers say which of them it was."""

import threading
import time
from concurrent.futures import Future
from types import SimpleNamespace

import numpy as np

from policy_server.seam import Priority, Request


class MarkedPolicy:
    """Every step is dx = 0.001 * mark, gripper 0.03; the rest is 0. `hold` keeps it inside `act` until `go` is set."""

    def __init__(self, spec, letter, mark, recurrent=False):
        self.spec = spec
        self.revision = letter * 64
        self.mark = mark
        self.recurrent = recurrent
        self.spoil = None  # a function of the actions: what goes wrong
        self.go = threading.Event()
        self.go.set()
        self.rows = 0

    def act(self, images, state, instructions, temperature=0.0, memory=None):
        self.go.wait(20)
        self.rows += len(instructions)
        actions = np.zeros((len(instructions), self.spec.horizon, 4), np.float32)
        actions[..., 0] = 0.001 * self.mark
        actions[..., 3] = 0.03
        if memory is not None:
            seen = [(before or 0) + 1 for before in memory]
            actions[..., 1] = 0.001 * np.array(seen)[:, None]
            return SimpleNamespace(actions=actions, memory=seen)
        return SimpleNamespace(actions=self.spoil(actions) if self.spoil else actions)


def request_for(spec, wait_s=20.0, **given):
    """A grey observation of a robot, with as much time as a loaded machine needs."""
    now_ns = time.monotonic_ns()
    values = {
        "images": {c.name: np.full((c.input_size, c.input_size, 3), 128, np.uint8) for c in spec.cameras},
        "state": np.zeros(len(spec.state), np.float32),
        "instruction": "push the red cube",
        "committed": None,
        "memory": None,
        "priority": Priority.ROBOT,
        "arrived_ns": now_ns,
        "deadline_ns": now_ns + round(wait_s * 1e9),
        "wanted": lambda: True,
        "answer": Future(),
    }
    return Request(**{**values, **given})


def ask(hub, placement, **given):
    """What the server does with an observation of a session; the answer or the error."""
    request = request_for(placement.served.spec, **given)
    placement.served.submit(request)
    error = request.answer.exception(30)
    result = request.answer.result() if error is None else error
    hub.answered(placement, request, result)
    return result


def until(condition, wait_s=20.0):
    """Wait until something is true; AssertionError if it never is."""
    end = time.monotonic() + wait_s
    while not condition():
        assert time.monotonic() < end, "never happened"
        time.sleep(0.005)
