"""The 200 Hz loop: one thread, absolute deadlines on the monotonic clock, ROS callbacks in what is left of a period."""

import threading
import time
from typing import TYPE_CHECKING

from motion_control import ModeRefusedError
from rclpy.executors import Executor

if TYPE_CHECKING:
    from piper_driver.driver_node import DriverNode

PERIOD_NS = 5_000_000
CALLBACKS_END_NS = 1_500_000
"""So long before the next deadline no more callbacks are begun."""
STOP_NS = 750_000_000
"""Longest time to come to rest: full speed takes 0.6 s at the acceleration limit."""


def run_until(stop: threading.Event, node: "DriverNode", executor: Executor) -> int:
    """Run the loop until `stop` is set or the node is finished, then bring the arm to rest with torque on.

    Returns the process's exit code: 1 if a callback failed (the arm is brought to rest first).
    """
    exit_code = 0
    stop_by_ns: int | None = None
    loop = node.loop
    loop.deadline_ns = time.monotonic_ns()
    while True:
        wait_ns = loop.deadline_ns - time.monotonic_ns()
        if wait_ns > 0:
            time.sleep(wait_ns / 1e9)
        now_ns = time.monotonic_ns()
        loop.begin(now_ns)
        node.tick(now_ns)
        if stop_by_ns is not None:
            if node.controller.at_rest or now_ns > stop_by_ns:
                return exit_code
        elif stop.is_set() or node.finished:
            stop_by_ns = now_ns + STOP_NS
            _hold(node, "the driver stops")
        else:
            try:
                _serve(node, executor, loop.deadline_ns + PERIOD_NS - CALLBACKS_END_NS)
            except Exception as error:  # noqa: BLE001 - whatever failed, the arm comes to rest before the process ends
                node.get_logger().fatal(f"a callback failed, the driver stops: {type(error).__name__}: {error}")
                exit_code = 1
                stop_by_ns = now_ns + STOP_NS
                node.controller.fault("a callback of the driver failed")
        loop.finish(time.monotonic_ns())


def _serve(node: "DriverNode", executor: Executor, until_ns: int) -> None:
    """Run callbacks that are ready, one at least: an e-stop does not wait behind commands."""
    while True:
        calls = node.calls
        executor.spin_once(timeout_sec=0)
        if node.calls == calls or time.monotonic_ns() >= until_ns:
            return


def _hold(node: "DriverNode", reason: str) -> None:
    try:
        node.controller.hold(reason)
    except ModeRefusedError as refused:  # disabled or latched: nothing moves, or it is already slowing down
        node.get_logger().info(str(refused))
