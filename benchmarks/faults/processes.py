"""The loop's parts as processes that can be killed, stopped and let go on."""

import contextlib
import itertools
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
START_S: Final = 180.0
"""Processes that import ROS and a simulator take long to start on a busy machine."""
_NUMBERS: Final = itertools.count(1)
_NODE: Final = "from {0} import {1}; {1}()"


class TryError(RuntimeError):
    """A try could not be made, or the loop did not do what the try waits for; the text says what."""


class Child:
    """One process with its output in a file; what is left of it ends with `end`."""

    def __init__(self, name: str, command: list[str], log_dir: Path, env: Mapping[str, str] | None = None) -> None:
        log_dir.mkdir(parents=True, exist_ok=True)
        self.name = name
        self.log = log_dir / f"{name}_{next(_NUMBERS)}.log"
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                command, cwd=ROOT, env={**os.environ, **(env or {})}, stdout=output, stderr=subprocess.STDOUT
            )

    @classmethod
    def module(cls, name: str, arguments: list[str], log_dir: Path) -> "Child":
        """`python -m ..`."""
        return cls(name, [sys.executable, "-m", *arguments], log_dir)

    @classmethod
    def node(
        cls,
        name: str,
        entry: str,
        parameters: Mapping[str, object],
        log_dir: Path,
        env: Mapping[str, str] | None = None,
    ) -> "Child":
        """A ROS node; `entry` is `module:function`."""
        words = [word for key, value in parameters.items() for word in ("-p", f"{key}:={value}")]
        code = _NODE.format(*entry.split(":"))
        return cls(name, [sys.executable, "-c", code, "--ros-args", *words], log_dir, env)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it runs (or is stopped)."""
        return self._process.poll() is None

    def text(self) -> str:
        """What it has said so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def signal(self, number: signal.Signals) -> int:
        """Send a signal; monotonic ns before it was sent."""
        now_ns = time.monotonic_ns()
        self._process.send_signal(number)
        return now_ns

    def kill(self) -> int:
        """SIGKILL, and wait for the end; monotonic ns before it was sent."""
        now_ns = self.signal(signal.SIGKILL)
        self._process.wait(10)
        return now_ns

    def wait(self, timeout_s: float) -> int:
        """Its exit status. Raises `TryError` if it does not end."""
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise TryError(f"{self.name} did not end within {timeout_s:g} s") from None

    def end(self) -> None:
        """End it, politely at first; a stopped one goes on first."""
        if self.alive:
            self.signal(signal.SIGCONT)
            self.signal(signal.SIGTERM)
            try:
                self._process.wait(8)
            except subprocess.TimeoutExpired:
                self.kill()


def wait_for(condition: Callable[[], object], timeout_s: float, what: str) -> int:
    """Monotonic ns at which `condition` was seen to hold. Raises `TryError` naming `what` if it does not in time."""
    end = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > end:
            raise TryError(f"waited {timeout_s:g} s in vain for {what}")
        time.sleep(0.002)
    return time.monotonic_ns()


def hurry_thread() -> None:
    """The calling thread goes before others, if that is permitted: late stamps would be taken for late reactions."""
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), -10)


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """A loopback port that nobody uses right now."""
    with socket.socket(type=kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def isolate_ros(log_dir: Path) -> None:
    """This process and its children get a ROS graph of their own on this host."""
    os.environ["ROS_DOMAIN_ID"] = str(random.SystemRandom().randint(1, 100))
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    os.environ["FASTRTPS_DEFAULT_PROFILES_FILE"] = str(ROOT / "launch" / "fastdds_one_host.xml")
    os.environ["ROS_LOG_DIR"] = str(log_dir / "ros")
    os.environ.setdefault("MUJOCO_GL", "egl")
