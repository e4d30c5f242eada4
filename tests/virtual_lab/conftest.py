"""A lab as its users run it: a process of its own, on ports that no other test has."""

import os
import random
import re
import signal
import socket
import subprocess
import sys
import uuid
from dataclasses import dataclass

import pytest

CHANNEL = f"239.74.163.{random.Random(os.getpid()).randint(2, 254)}"


def free_udp_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])


@dataclass
class LabProcess:
    process: subprocess.Popen[str]
    channel: str
    port: int
    name: str
    control: str

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        try:
            return self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise


def start_lab(*arguments: str, port: int | None = None, name: str | None = None) -> LabProcess:
    port = port or free_udp_port()
    name = name or f"test_{uuid.uuid4().hex}"
    command = [sys.executable, "-m", "virtual_lab", "--can-channel", CHANNEL, "--can-port", str(port)]
    command += ["--lab", name, "--control-address", "127.0.0.1:0", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    line = process.stdout.readline()
    found = re.search(r"control at (\S+)$", line)
    if found is None:
        process.kill()
        raise AssertionError(f"the lab did not start; it said {line!r} and exited with {process.wait(10)}")
    return LabProcess(process, CHANNEL, port, name, found.group(1))


@pytest.fixture
def lab():
    running = start_lab()
    yield running
    if running.process.poll() is None:
        running.stop()
