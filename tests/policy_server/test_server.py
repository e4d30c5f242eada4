import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from policy_api.client import PolicyClient
from policy_api.errors import PolicyApiError, ServerUnavailable, UnknownSession

from policy_server.fixed_hub import FixedHub
from policy_server.server import SERVICE_NAME, PolicyServer, ServerConfig

PROGRAM = Path(__file__).parent / "echo_server.py"


class Process:
    """An echo server as a process of its own."""

    def __init__(self, spec_file, address="127.0.0.1:0", delay_s=0.0):
        command = [sys.executable, str(PROGRAM), str(spec_file), address, str(delay_s)]
        self.popen = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.line = self.popen.stdout.readline()
        self.address = re.search(r"ready on (\S+):", self.line + " ready on none:")[1]

    def end(self, number):
        """Send a signal; (exit code, seconds until the process was gone)."""
        start = time.monotonic()
        self.popen.send_signal(number)
        code = self.popen.wait(10)
        self.popen.stdout.close()
        return code, time.monotonic() - start


def answered(client, observation):
    """The type of the error with which the observation is refused; None if it is answered."""
    try:
        client.infer(observation, 1)
    except PolicyApiError as error:
        return type(error)


@pytest.fixture
def spec_file(spec, tmp_path):
    path = tmp_path / "spec.json"
    path.write_text(spec.to_json())
    return path


@pytest.fixture
def launch(spec_file):
    running = []

    def start(**options):
        running.append(Process(spec_file, **options))
        return running[-1]

    yield start
    for process in running:
        if process.popen.poll() is None:
            process.end(signal.SIGKILL)


@pytest.mark.parametrize(
    ("address", "words"), [("0.0.0.0:50051", "refusing to listen.*not be encrypted"), ("50051", "is not host:port")]
)
def test_address_that_is_not_allowed(policy, address, words):
    with pytest.raises(ValueError, match=words):
        PolicyServer(FixedHub([policy]), ServerConfig(address))


def test_taken_port_is_named(policy, server):
    with pytest.raises(OSError, match=f"cannot listen on {server.address}.*another server"):
        PolicyServer(FixedHub([policy]), ServerConfig(server.address))


def test_unix_socket(policy, tmp_path, observe):
    hub = FixedHub([policy])
    server = PolicyServer(hub, ServerConfig(f"unix:{tmp_path / 'policy.sock'}"))
    with PolicyClient(server.address, "robot") as client:
        client.open_session()
        client.infer(observe(), 5)
    server.stop()
    hub.close()


def test_nobody_there():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    with PolicyClient(address, "robot") as client, pytest.raises(ServerUnavailable, match=f"{address}.*start one"):
        client.open_session()
    with pytest.raises(ServerUnavailable, match="closed"):
        client.server_info()


def test_hanging_server_meets_the_deadline(launch, observe):
    process = launch()
    with PolicyClient(process.address, "robot") as client:
        client.open_session()
        process.popen.send_signal(signal.SIGSTOP)
        start = time.monotonic()
        with pytest.raises(PolicyApiError, match=r"within 0.2 s"):
            client.infer(observe(), 0.2)
        assert time.monotonic() - start < 1.0
        process.popen.send_signal(signal.SIGCONT)
        client.infer(observe(), 5)


def test_client_comes_back_after_the_server_was_killed(launch, observe):
    process = launch()
    with PolicyClient(process.address, "robot") as client:
        client.open_session()
        client.infer(observe(), 5)
        process.end(signal.SIGKILL)
        down = time.monotonic()
        while time.monotonic() - down < 2.0:  # long enough for a default back-off to grow
            with pytest.raises(ServerUnavailable):
                client.infer(observe(), 1)
            time.sleep(0.05)
        launch(address=process.address)
        ready = time.monotonic()
        while answered(client, observe()) is ServerUnavailable:
            time.sleep(0.02)
            assert time.monotonic() - ready < 2.0
        assert answered(client, observe()) is UnknownSession
        client.open_session()
        client.infer(observe(), 1)
        assert time.monotonic() - ready < 2.0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_the_server_at_once(launch, number):
    process = launch()
    assert "model echo, revision eeeeeeeeeeee, contract " in process.line
    code, seconds = process.end(number)
    assert code == 0
    assert seconds < 2.0


def test_drain_finishes_the_call_in_progress_and_reports_not_serving(launch, observe):
    process = launch(delay_s=0.5)
    answers, states = [], []
    with PolicyClient(process.address, "robot") as client, grpc.insecure_channel(process.address) as channel:
        client.open_session()
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service=SERVICE_NAME))

        def follow():
            try:
                states.extend(reply.status for reply in watch)
            except grpc.RpcError:
                return

        threads = [
            threading.Thread(target=lambda: answers.append(client.infer(observe(), 5))),
            threading.Thread(target=follow),
        ]
        for thread in threads:
            thread.start()
        time.sleep(0.2)
        code, seconds = process.end(signal.SIGTERM)
        for thread in threads:
            thread.join(5)
    assert code == 0
    assert seconds < 2.0
    assert len(answers) == 1
    status = health_pb2.HealthCheckResponse
    assert states == [status.SERVING, status.NOT_SERVING]


def test_policy_that_does_not_end_does_not_keep_the_server(launch, observe):
    process = launch(delay_s=0.9)
    with PolicyClient(process.address, "robot") as client:
        client.open_session()
        errors = []

        def ask(text):
            try:
                with PolicyClient(process.address, text) as other:
                    other.open_session()
                    other.infer(observe(instruction=text), 10)
            except ServerUnavailable as error:
                errors.append(error)

        threads = [threading.Thread(target=ask, args=(f"robot {i}",)) for i in range(4)]
        for thread in threads:
            thread.start()
        time.sleep(0.3)
        code, seconds = process.end(signal.SIGTERM)
        for thread in threads:
            thread.join(10)
    assert code == 0
    assert seconds < 2.0
    assert len(errors) >= 2
