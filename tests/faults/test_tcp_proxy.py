"""The proxy between two sockets: what each of its faults does to what is sent."""

import socket
import threading
import time

import pytest

from benchmarks.faults.tcp_proxy import LinkFaults, TcpProxy


class Echo:
    """Sends back what it gets, until it is closed."""

    def __init__(self):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    @staticmethod
    def _serve(connection):
        try:
            while data := connection.recv(65536):
                connection.sendall(data)
        except OSError:
            pass
        connection.close()

    def close(self):
        self._listener.close()


@pytest.fixture
def proxy():
    echo = Echo()
    with TcpProxy(echo.address) as made:
        yield made
    echo.close()


@pytest.fixture
def caller(proxy):
    host, port = proxy.address.split(":")
    with socket.create_connection((host, int(port)), 10) as made:
        made.settimeout(10)
        yield made


def echoed(caller, data):
    """What came back and the seconds that took."""
    start, got = time.monotonic(), b""
    caller.sendall(data)
    while len(got) < len(data):
        got += caller.recv(65536)
    return got, time.monotonic() - start


def test_without_faults_bytes_pass(caller):
    data = bytes(range(256)) * 1000
    assert echoed(caller, data)[0] == data


def test_latency_and_jitter_keep_the_order(proxy, caller):
    proxy.set(latency_s=0.1, jitter_s=0.05)
    for i in range(3):
        got, took = echoed(caller, bytes([i]) * 100)
        assert got == bytes([i]) * 100 and took >= 0.2


def test_slices_and_bandwidth(proxy, caller):
    proxy.set(slice_bytes=100, bytes_per_s=20_000)
    data = bytes(range(250)) * 16
    got, took = echoed(caller, data)
    assert got == data and took >= 0.15


def test_a_black_hole_keeps_the_connection_and_ends(proxy, caller):
    proxy.set(blackhole=True)
    caller.sendall(b"hello")
    caller.settimeout(0.3)
    with pytest.raises(TimeoutError):
        caller.recv(10)
    proxy.set()
    caller.settimeout(10)
    assert caller.recv(10) == b"hello"


def test_reset_and_loss_by_reset(proxy, caller):
    assert echoed(caller, b"x")[0] == b"x"
    proxy.reset()
    with pytest.raises(ConnectionResetError):
        caller.recv(10)
    host, port = proxy.address.split(":")
    proxy.set(loss=1.0)
    with socket.create_connection((host, int(port)), 10) as other, pytest.raises(ConnectionResetError):
        other.sendall(b"x")
        other.recv(10)


def test_an_upstream_that_is_not_there_resets():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        nobody = probe.getsockname()[1]
        with TcpProxy(f"127.0.0.1:{nobody}") as proxy:
            host, port = proxy.address.split(":")
            with socket.create_connection((host, int(port)), 10) as caller, pytest.raises(ConnectionResetError):
                caller.settimeout(10)
                caller.recv(1)


@pytest.mark.parametrize(("field", "value"), [("latency_s", -1.0), ("loss", 1.5), ("slice_bytes", -1)])
def test_settings_that_make_no_sense(field, value):
    with pytest.raises(ValueError, match=field):
        LinkFaults(**{field: value})
