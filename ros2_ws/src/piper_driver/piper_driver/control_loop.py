"""The 200 Hz loop: one thread, absolute deadlines on the monotonic clock, ROS callbacks in what is left of a period."""

import threading
import time
from typing import TYPE_CHECKING

from motion_control import ModeRefusedError
from rclpy.executors import Executor

if TYPE_CHECKING:
    from piper_driver.driver_node import DriverNode

PERIOD_NS = 5_000_000
STOP_NS = 750_000_000
"""Longest time to come to rest: full speed takes 0.6 s at the acceleration limit."""


def run_until(stop: threading.Event, node: "DriverNode", executor: Executor) -> int:
    """Run the loop until `stop` is set, then bring the arm to rest with torque on; returns the process's exit code.

    1 if a callback failed (the arm is brought to rest first) or if the CAN bus is gone.
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
        elif stop.is_set():
            stop_by_ns = now_ns + STOP_NS
            _hold(node, "the driver stops")
        elif node.link.bus_lost(now_ns):
            node.get_logger().error(f"{node.link.last_bus_error}; the arm holds its last target")
            return 1
        else:
            try:
                executor.spin_once(timeout_sec=0)
            except Exception as error:  # noqa: BLE001 - whatever failed, the arm comes to rest before the process ends
                node.get_logger().fatal(f"a callback failed, the driver stops: {type(error).__name__}: {error}")
                exit_code = 1
                stop_by_ns = now_ns + STOP_NS
                node.controller.fault("a callback of the driver failed")
        loop.finish(time.monotonic_ns())


def _hold(node: "DriverNode", reason: str) -> None:
    try:
        node.controller.hold(reason)
    except ModeRefusedError as refused:  # disabled or latched: nothing moves, or it is already slowing down
        node.get_logger().info(str(refused))
