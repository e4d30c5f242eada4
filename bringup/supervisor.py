"""Run a launch's processes until they end, one that ends the launch ends, or a signal asks for a stop."""

from __future__ import annotations

import selectors
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType

from bringup.child import Child
from bringup.process_spec import ProcessSpec

_POLL_S = 0.05
# How a process may end after it was told to: by itself, or by SIGINT or SIGTERM unhandled.
_ORDERLY = (0, 128 + signal.SIGINT, 128 + signal.SIGTERM)
SUPERVISOR = "bringup"


class Supervisor:
    """Starts processes in the order given and stops them one after another in the reverse order.

    So whatever stands first in a launch file, such as the driver that holds the arm, ends last.
    """

    def __init__(self, specs: Sequence[ProcessSpec], log_dir: Path, emit: Callable[[str, str], None]) -> None:
        """`emit(name, line)` shows a line on the console; `log_dir` exists and receives `<name>.log`."""
        self._children = [Child(spec, log_dir, emit) for spec in specs]
        self._emit = emit
        self._selector = selectors.DefaultSelector()
        self._restart_at_s: dict[Child, float] = {}
        self._ended: set[Child] = set()
        self._stop_reason = ""
        self._status = 0

    def run(self) -> int:
        """Run to the end. Returns 0 if all ended well, else the status of what ended the launch, or 1."""
        previous = {number: signal.signal(number, self._on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            for child in self._children:
                if not self._stop_reason:
                    self._start(child)
            while not self._stop_reason and len(self._ended) < len(self._children):
                self._pump(_POLL_S)
                self._look_after()
            self._stop()
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)
            self._selector.close()
        return self._status

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self._stop_reason = self._stop_reason or signal.Signals(number).name

    def _say(self, text: str) -> None:
        self._emit(SUPERVISOR, text)

    def _start(self, child: Child) -> None:
        try:
            descriptor = child.start()
        except OSError as error:
            self._say(f"{child.spec.name} cannot be started: {error.strerror} ({child.spec.command[0]})")
            self._ended.add(child)
            self._status, self._stop_reason = 1, f"{child.spec.name} cannot be started"
            return
        self._selector.register(descriptor, selectors.EVENT_READ, child)
        self._say(f"{child.spec.name} started, pid {child.pid}")

    def _pump(self, timeout_s: float) -> None:
        """Take what the processes print, for at most `timeout_s`."""
        if not self._selector.get_map():
            time.sleep(timeout_s)
            return
        for key, _ in self._selector.select(timeout_s):
            if not key.data.read():
                self._selector.unregister(key.fd)

    def _drain(self, child: Child) -> None:
        """Take the last lines of a process that has ended."""
        for key in [key for key in self._selector.get_map().values() if key.data is child]:
            self._selector.unregister(key.fd)
        child.drain()

    def _look_after(self) -> None:
        """Notice processes that ended; start again those that are to respawn and whose delay is over."""
        now_s = time.monotonic()
        for child in self._children:
            if child in self._ended:
                continue
            if child in self._restart_at_s:
                if now_s >= self._restart_at_s[child]:
                    del self._restart_at_s[child]
                    self._start(child)
                continue
            status = child.exit_status()
            if status is not None:
                self._drain(child)
                self._handle_exit(child, status, now_s)

    def _handle_exit(self, child: Child, status: int, now_s: float) -> None:
        spec = child.spec
        self._say(f"{spec.name} ended with status {status}")
        if status != 0 and not spec.on_console:
            for line in child.last_lines:
                self._emit(spec.name, line)
        if spec.respawn:
            self._say(f"{spec.name} starts again in {spec.respawn_delay_s:g} s")
            self._restart_at_s[child] = now_s + spec.respawn_delay_s
            return
        self._ended.add(child)
        if spec.ends_launch:
            self._status, self._stop_reason = status, f"{spec.name} has ended"
        elif status != 0:
            self._status = self._status or 1

    def _stop(self) -> None:
        """Stop what still runs, last started first: SIGINT, then SIGTERM, then SIGKILL."""
        running = [c for c in reversed(self._children) if c.starts and c.exit_status() is None]
        if running:
            self._say(f"stopping ({self._stop_reason}): {', '.join(child.spec.name for child in running)}")
        for child in running:
            status = self._stop_child(child)
            self._drain(child)
            self._say(f"{child.spec.name} stopped, status {status}")
            if status not in _ORDERLY:
                self._status = self._status or 1

    def _stop_child(self, child: Child) -> int:
        spec = child.spec
        steps = ((signal.SIGINT, spec.sigterm_timeout_s), (signal.SIGTERM, spec.sigkill_timeout_s))
        for number, timeout_s in steps:
            child.send(number)
            deadline_s = time.monotonic() + timeout_s
            while time.monotonic() < deadline_s:
                self._pump(_POLL_S)
                if (status := child.exit_status()) is not None:
                    return status
            self._say(f"{spec.name} has not ended {timeout_s:g} s after {number.name}")
        child.send(signal.SIGKILL)
        while (status := child.exit_status()) is None:
            self._pump(_POLL_S)
        return status
