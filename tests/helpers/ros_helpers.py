"""Real ROS 2 for tests: nodes in processes of their own, and one node in the test to talk to them."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import rclpy
from rclpy.experimental import EventsExecutor

FAST_DISCOVERY = """<?xml version="1.0" encoding="UTF-8"?>
<profiles xmlns="http://www.eprosima.com/XMLSchemas/fastRTPS_Profiles">
  <participant profile_name="tests" is_default_profile="true"><rtps><builtin><discovery_config>
    <leaseAnnouncement><sec>0</sec><nanosec>300000000</nanosec></leaseAnnouncement>
    <initialAnnouncements><count>20</count><period><nanosec>50000000</nanosec></period></initialAnnouncements>
  </discovery_config></builtin></rtps></participant>
</profiles>
"""


class NodeProcess:
    """One node in one process, with its output in a file."""

    def __init__(self, entry: str, parameters: dict[str, object], log: Path, env: dict[str, str]):
        module, function = entry.split(":")
        command = [sys.executable, "-c", f"from {module} import {function}; {function}()", "--ros-args"]
        for name, value in parameters.items():
            command += ["-p", f"{name}:={value}"]
        self.log = log
        with log.open("w") as output:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT, env=env, text=True
            )

    def signal_and_wait(self, signum: int = signal.SIGINT, timeout_s: float = 5.0) -> int:
        self.process.send_signal(signum)
        return self.process.wait(timeout_s)

    def type(self, line: str) -> None:
        """Type a line at the process's standard input."""
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def end(self) -> None:
        try:
            self.process.wait(2)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(5)
        self.process.stdin.close()

    def text(self) -> str:
        return self.log.read_text()


class Ros:
    """A node in the test's own process; it spins only inside `wait`."""

    def __init__(self, tmp_path: Path):
        self.tmp_path = tmp_path
        self.env = dict(os.environ)
        self.processes: list[NodeProcess] = []
        self.context = rclpy.Context()
        rclpy.init(context=self.context)
        self.node = rclpy.create_node("test", context=self.context)
        self.executor = EventsExecutor(context=self.context)
        self.executor.add_node(self.node)

    def start(self, entry: str, **parameters: object) -> NodeProcess:
        log = self.tmp_path / f"node{len(self.processes)}.log"
        self.processes.append(NodeProcess(entry, parameters, log, self.env))
        return self.processes[-1]

    def wait(self, condition: Callable[[], object], timeout_s: float = 8.0, what: str = "") -> None:
        end = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > end:
                logs = "\n".join(f"--- {p.log.name}\n{p.text()[-2000:]}" for p in self.processes)
                pytest.fail(f"waited {timeout_s} s in vain for {what or condition}\n{logs}")
            self.executor.spin_once(timeout_sec=0.02)

    def spin_for(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.executor.spin_once(timeout_sec=0.02)

    def close(self) -> None:
        for node in self.processes:
            node.process.terminate()  # a killed node leaves its shared memory behind
        for node in self.processes:
            node.end()
        self.executor.shutdown()
        self.node.destroy_node()
        rclpy.try_shutdown(context=self.context)


@contextmanager
def ros_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ros]:
    profile = tmp_path / "fastdds.xml"
    profile.write_text(FAST_DISCOVERY)
    monkeypatch.setenv("FASTRTPS_DEFAULT_PROFILES_FILE", str(profile))
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    monkeypatch.setenv("ROS_DOMAIN_ID", str(1 + os.getpid() % 100))
    monkeypatch.setenv("ROS_LOG_DIR", str(tmp_path / "ros_log"))
    session = Ros(tmp_path)
    try:
        yield session
    finally:
        session.close()
