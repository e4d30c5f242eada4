"""The whole loop as processes: policy server, proxy, policy runner, camera, driver, virtual arm."""

import json
import os
import time
from pathlib import Path
from typing import Final

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from node_runtime.payloads import RunnerStatus

from benchmarks.faults.processes import START_S, Child, TryError, free_port, wait_for
from benchmarks.faults.robot import Robot
from benchmarks.faults.tcp_proxy import TcpProxy

RUNNER: Final = "policy_bridge.policy_runner_node:main"
CAMERA: Final = "cameras.camera_node:main"
INFER_TIMEOUT_S: Final = 0.5
"""Longest that the runner waits for an answer: what the matrix asks of a server that hangs."""
QUESTION_BYTES: Final = 1000
"""Questions hold a picture; what gRPC itself sends is smaller."""
_CONTRACT: Final = Path(__file__).resolve().parents[2] / "policy_server" / "backends" / "contract.json"
_MOTIONS: Final = (
    "contract: contract.json\nmotions:\n  wave: {kind: wave, action: dy, amplitude: 0.004, period_s: 4.0}\n"
)
_HORIZON, _DT_S = 12, 0.05


class Ring(Robot):
    """A robot whose runner reaches its policy server through a proxy, and asks while it plays."""

    def __init__(self, log_dir: Path) -> None:
        super().__init__(log_dir)
        self._backend = f"scripted:{_write_motion(log_dir)}#wave"
        self.server_address = f"127.0.0.1:{free_port()}"
        self.proxy = TcpProxy(self.server_address)

    def start(self) -> None:
        """See `Robot.start`."""
        self.start_server()
        super().start()
        self._start_camera()
        self.start_runner()

    def start_server(self) -> None:
        """A policy server at this ring's address, serving; the one before must have ended."""
        arguments = ["policy_server", "--backend", self._backend, "--address", self.server_address]
        arguments += ["--admin", f"127.0.0.1:{free_port()}"]
        self.server = self.keep(Child.module("policy_server", arguments, self.log_dir))
        self.wait_serving()

    def wait_serving(self) -> int:
        """Monotonic ns at which the server was seen to serve."""
        with grpc.insecure_channel(self.server_address) as channel:
            stub = health_pb2_grpc.HealthStub(channel)

            def serving() -> bool:
                if not self.server.alive:
                    raise TryError(f"the policy server has ended: {self.server.text()[-500:]}")
                try:
                    answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=0.5)
                except grpc.RpcError:
                    return False
                return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

            return wait_for(serving, START_S, "the policy server to serve")

    def start_runner(self) -> None:
        """A policy runner that asks through the proxy."""
        options = {"server_address": self.proxy.address, "infer_timeout_s": INFER_TIMEOUT_S, "max_chunks": 100_000}
        self.runner = self.keep(Child.node("runner", RUNNER, options, self.log_dir))

    def _start_camera(self) -> None:
        options = {"name": "front", "source": "software", "serial": self.lab_name, "width": 320, "height": 240}
        self._camera = self.keep(Child.node("camera", CAMERA, options, self.log_dir))

    def ready(self) -> None:
        """A run of the policy is in progress and has played some chunks; see `Robot.ready`."""
        self.proxy.set()
        if not self.server.alive:
            self.start_server()
        if not self.runner.alive:
            self.desk.runner.clear()
            self.start_runner()
        if not self._camera.alive:
            self._start_camera()
        self.desk.switch("/policy_runner/run", False, START_S)
        super().ready()
        self.at_rest()
        self.go_home()
        self.start_run()
        self.begin_record()
        time.sleep(0.5)

    def start_run(self) -> None:
        """Start a run and wait until it has played three chunks."""
        self.desk.instruct("wave")
        time.sleep(0.2)
        for _ in range(5):
            try:  # the hold that ended the run before may come late
                self.to_policy()
            except TryError:
                continue
            started, text = self.desk.switch("/policy_runner/run", True)
            if not started:
                raise TryError(f"run: {text}")
            wait_for(lambda: self.status.chunks >= 3 or self.status.state != "running", 30.0, "three chunks")
            if self.status.state == "running":
                return
            self.desk.wait_mode(5.0, "HOLD")
        raise TryError(f"no run went on: {self.status.reason}")

    @property
    def status(self) -> RunnerStatus:
        """What the runner said last; idle before it said anything."""
        return self.desk.runner_status or RunnerStatus("idle")

    def heard_runner(self, since_ns: int, timeout_s: float, *states: str) -> int:
        """When the runner first said one of these states after `since_ns`."""

        def found() -> list[int]:
            said = [s for s in list(self.desk.runner) if s.time_ns >= since_ns]
            return [s.time_ns for s in said if s.what.state in states]

        wait_for(found, timeout_s, f"a runner that is {' or '.join(states)}; it is {self.status.state}")
        return found()[0]

    def played(self, since_ns: int, chunks: int, timeout_s: float) -> int:
        """When the runner first said after `since_ns` that it has played more than `chunks` chunks."""

        def found() -> list[int]:
            return [s.time_ns for s in list(self.desk.runner) if s.time_ns >= since_ns and s.what.chunks > chunks]

        wait_for(found, timeout_s, f"another chunk; the run is {self.status.state}: {self.status.reason}")
        return found()[0]

    def asked(self, since_ns: int) -> int:
        """When the runner sent its first question after `since_ns`; `since_ns` if it sent none."""
        return next((t for t, size in list(self.proxy.questions) if t > since_ns and size > QUESTION_BYTES), since_ns)

    def close(self) -> None:
        """End the processes."""
        super().close()
        self.proxy.close()


def _write_motion(log_dir: Path) -> Path:
    """A motion for a contract without settling time, so that the runner streams."""
    folder = log_dir / f"motion{os.getpid()}"
    folder.mkdir(parents=True, exist_ok=True)
    contract = json.loads(_CONTRACT.read_text(encoding="utf-8"))
    contract |= {"horizon": _HORIZON, "dt_s": _DT_S, "settle_s": 0.0}
    (folder / "contract.json").write_text(json.dumps(contract), encoding="utf-8")
    motions = folder / "motions.yaml"
    motions.write_text(_MOTIONS, encoding="utf-8")
    return motions
