"""Control loop: whatever ends it, the arm is at rest first."""

import logging
import threading
import time

import numpy as np
import pytest
from motion_control import ArmController, Chunk, Feedback, Mode, MotionLimits
from piper_description import HOME_POSITION
from piper_driver.control_loop import PERIOD_NS, run_until
from piper_driver.loop_clock import LoopClock


class FakeNode:
    """A controller in motion, without ROS and without a bus."""

    def __init__(self):
        self.controller = ArmController(MotionLimits.default(), PERIOD_NS)
        self.loop = LoopClock(PERIOD_NS, time.monotonic_ns())
        self.finished = False
        self.calls = 0
        self.setpoint = None
        now = time.monotonic_ns()
        self.tick(now)
        self.controller.enable(now)
        self.controller.policy(True, now)
        goal = HOME_POSITION + np.array([0.4, 0, 0, 0, 0, 0, 0])
        self.controller.accept_chunk(Chunk(now, np.array([now + 200_000_000]), goal[None]), now)

    def tick(self, now_ns):
        position = HOME_POSITION if self.setpoint is None else self.setpoint.position
        self.setpoint = self.controller.tick(now_ns, Feedback(position, now_ns, True))

    def get_logger(self):
        return logging.getLogger("test")


class FakeExecutor:
    def __init__(self, on_spin):
        self.spins, self.on_spin = 0, on_spin

    def spin_once(self, timeout_sec):
        assert timeout_sec == 0
        self.spins += 1
        if self.spins == 20:
            self.on_spin()


def fail():
    raise RuntimeError("boom")


@pytest.mark.parametrize(("crash", "exit_code", "mode"), [(False, 0, Mode.HOLD), (True, 1, Mode.FAULT)])
def test_a_signal_and_a_failing_callback_end_at_rest(crash, exit_code, mode):
    node, stop = FakeNode(), threading.Event()
    executor = FakeExecutor(fail if crash else stop.set)
    began = time.monotonic()
    assert run_until(stop, node, executor) == exit_code
    assert time.monotonic() - began < 1.5
    assert node.controller.mode is mode and node.controller.at_rest
    assert node.setpoint.position[0] > HOME_POSITION[0] + 0.01, "it was moving"
    assert executor.spins == 20, "no callbacks while the arm comes to rest"


def test_a_lifecycle_that_has_ended_ends_the_process():
    node = FakeNode()
    executor = FakeExecutor(lambda: setattr(node, "finished", True))
    assert run_until(threading.Event(), node, executor) == 0
    assert node.controller.at_rest and node.controller.mode is Mode.HOLD


def test_callbacks_that_wait_are_served_in_one_period():
    node, stop = FakeNode(), threading.Event()
    ticks = []

    class Busy:
        def spin_once(self, timeout_sec):
            ticks.append(node.loop.ticks)
            if len(ticks) < 10:
                node.calls += 1
            else:
                stop.set()

    assert run_until(stop, node, Busy()) == 0
    assert len(set(ticks)) < 10, "more than one a period"
