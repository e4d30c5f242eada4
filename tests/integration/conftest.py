"""The whole ring as processes: a policy server, the virtual lab's launch file, and a node that plays the operator."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from demo.lab import wait_until_serving

sys.path.append(str(Path(__file__).parent.parent / "helpers"))

from ros_helpers import ros_session

ROOT = Path(__file__).parent.parent.parent


def free_port(kind=socket.SOCK_STREAM):
    with socket.socket(type=kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Ring:
    """Starts and stops the processes; `operator` is the test's own ROS session."""

    def __init__(self, operator, checkpoint, tmp_path):
        self.operator = operator
        self.checkpoint = checkpoint
        self.tmp_path = tmp_path
        self.server_address = f"127.0.0.1:{free_port()}"
        self.control_address = f"127.0.0.1:{free_port()}"
        self.processes = []

    def start(self, name, *command):
        log = (self.tmp_path / f"{name}.log").open("wb")
        process = subprocess.Popen(
            [sys.executable, "-m", *command], cwd=ROOT, env=self.operator.env, stdout=log, stderr=subprocess.STDOUT
        )
        log.close()
        self.processes.append(process)
        return process

    def start_server(self, backend=None):
        """Of the ring's checkpoint, or of another backend ("scripted:wave")."""
        name = f"server{len(self.processes)}"
        what = ("--backend", backend) if backend else ("--checkpoint", str(self.checkpoint))
        arguments = (*what, "--address", self.server_address)
        server = self.start(name, "policy_server", *arguments)
        wait_until_serving(self.server_address, server, self.tmp_path / f"{name}.log")
        return server

    def start_lab(self):
        return self.start(
            "lab",
            "bringup",
            "launch/virtual_lab.launch.yaml",
            f"can_port:={free_port(socket.SOCK_DGRAM)}",
            f"lab:=test_{os.getpid()}",
            f"control_address:={self.control_address}",
            f"server_address:={self.server_address}",
            f"output_dir:={self.tmp_path / 'episodes'}",
            f"domain:={self.operator.env['ROS_DOMAIN_ID']}",
            "--log-dir",
            str(self.tmp_path / "logs"),
        )

    def log(self, name):
        return (self.tmp_path / f"{name}.log").read_text(errors="replace")

    def close(self):
        for process in reversed(self.processes):
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
        for process in self.processes:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                for child in psutil.Process(process.pid).children(recursive=True):
                    child.kill()
                process.kill()
                process.wait()


@pytest.fixture
def ring(tmp_path, monkeypatch, untrained_checkpoint):
    monkeypatch.setenv("MUJOCO_GL", "egl")
    with ros_session(tmp_path, monkeypatch) as operator:
        operator.env = dict(os.environ)
        ring = Ring(operator, untrained_checkpoint, tmp_path)
        try:
            yield ring
        finally:
            ring.close()


@pytest.fixture
def untrained_checkpoint(tmp_path):
    """A real checkpoint of the real policy with random weights: it moves the arm, to no purpose."""
    import torch

    from sim_train.checkpoint import save_policy
    from sim_train.envs import task_spec
    from sim_train.policies.text import build_vocabulary
    from sim_train.policies.token_vla import TokenVla, TokenVlaConfig

    torch.manual_seed(0)
    policy = TokenVla(task_spec("pick_cube"), TokenVlaConfig(), build_vocabulary(["pick up the red cube"]))
    path = tmp_path / "checkpoint"
    save_policy(path, policy, {"note": "random weights"})
    return path
