"""Run one node in one process: signals, executor, exit code."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

import rclpy
from rclpy.exceptions import (
    InvalidParameterTypeException,
    InvalidParameterValueException,
    ParameterUninitializedException,
)
from rclpy.experimental import EventsExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

SPIN_TIMEOUT_S = 0.1
"""Longest wait inside the executor, hence the longest time until a signal is noticed."""

STOP_GRACE_S = 0.6
"""How long a node may keep spinning after a signal to finish what `begin_stop` started."""

EXIT_BAD_SETUP = 2
"""Exit code when the node could not be made: a parameter is wrong or a device is refused."""


class SetupError(ValueError):
    """The node can't start with these parameters; the text says what to change."""


class ManagedNode(Node):
    """A node that says when its process is to end.

    `exit_code` stays None while the node runs; setting it ends the process with that code.
    """

    exit_code: int | None = None

    def call_soon(self, callback: Callable[[], None]) -> None:
        """Run `callback` in the executor's thread; may be called from any thread."""
        if self.executor is not None:
            self.executor.create_task(callback)

    def begin_stop(self) -> None:
        """React to SIGINT or SIGTERM: set `exit_code` now, or once the last replies are in."""
        self.exit_code = 0

    def close(self) -> None:
        """Release threads, files and devices; the executor has stopped. Must return within 0.3 s."""


def run_node(make_node: Callable[[], ManagedNode], args: list[str] | None = None) -> int:
    """Spin the node until it sets its exit code or a signal arrives; returns the process exit code.

    rclpy's own signal handling is off: it ends a process with code 1 now and then. SIGINT and SIGTERM
    end the process with code 0 within a second.
    """
    stop = threading.Event()

    def on_signal(_signum: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGINT, on_signal)
    signal.signal(signal.SIGTERM, on_signal)
    rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    try:
        try:
            node = make_node()
        except (
            SetupError,
            InvalidParameterTypeException,
            InvalidParameterValueException,
            ParameterUninitializedException,
        ) as error:
            print(f"cannot start: {error}", file=sys.stderr)
            return EXIT_BAD_SETUP
        try:
            return _spin(node, stop)
        finally:
            node.close()
            node.destroy_node()
    finally:
        rclpy.try_shutdown()


def end_process(code: int) -> NoReturn:
    """End the process at once, its work being done and its node closed.

    The interpreter's own ending is not used: it gives SIGINT its default meaning back, so that a second Ctrl-C turns a
    clean stop into a failure, and it unloads libraries whose threads may still run (librealsense then aborts).
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _spin(node: ManagedNode, stop: threading.Event) -> int:
    executor = EventsExecutor()
    executor.add_node(node)
    try:
        while node.exit_code is None and not stop.is_set():
            executor.spin_once(timeout_sec=SPIN_TIMEOUT_S)
        if node.exit_code is None:
            node.begin_stop()
            deadline_s = time.monotonic() + STOP_GRACE_S
            while node.exit_code is None and time.monotonic() < deadline_s:
                executor.spin_once(timeout_sec=SPIN_TIMEOUT_S)
        return node.exit_code or 0
    finally:
        executor.remove_node(node)
        executor.shutdown()
