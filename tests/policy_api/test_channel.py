from datetime import datetime, timezone

import pytest
import wire_server
from policy_api.channel import TlsFiles, check_address, is_local
from policy_api.client import PolicyClient
from policy_api.errors import ServerUnavailable

from policy_server import certificates


@pytest.mark.parametrize("address", ["127.0.0.1:1", "localhost:65535", "[::1]:50051", "arm-3.lab:50051", "unix:/run/s"])
def test_good_addresses(address):
    check_address(address)


@pytest.mark.parametrize("address", ["", "50051", "host", "host:", ":1", "host:x", "host:0", "host:65536", "unix:"])
def test_bad_addresses(address):
    with pytest.raises(ValueError, match=r"host:port|names no socket"):
        check_address(address)


@pytest.mark.parametrize(
    ("address", "local"),
    [
        ("127.0.0.1:1", True),
        ("127.3.2.1:1", True),
        ("localhost:1", True),
        ("[::1]:1", True),
        ("unix:/s", True),
        ("10.0.0.1:1", False),
        ("[::2]:1", False),
        ("localhost.example.org:1", False),
    ],
)
def test_what_is_on_this_host(address, local):
    assert is_local(address) is local


def test_certificates_open_the_door_and_nothing_else_does(spec, observation, tmp_path):
    folder = tmp_path / "certs"
    certificates.make(folder, ["robot-1"], [], ["127.0.0.1"], datetime.now(timezone.utc))
    server_files, robot_files = TlsFiles.of(folder / "server"), TlsFiles.of(folder / "robots" / "robot-1")
    running, address = wire_server.serve(wire_server.WireService(spec), tls=server_files)
    try:
        with PolicyClient(address, "robot-1", credentials=robot_files) as client:
            client.open_session()
            client.infer(observation, 5)
        with PolicyClient(address, "robot-1") as client, pytest.raises(ServerUnavailable):
            client.open_session()
    finally:
        running.stop(None)
    with pytest.raises(ValueError, match="needs no certificates"):
        PolicyClient("unix:/run/policy.sock", "robot-1", credentials=robot_files)
    with pytest.raises(FileNotFoundError, match=r"missing\.key"):
        PolicyClient(address, "robot-1", credentials=TlsFiles(robot_files.ca, robot_files.cert, folder / "missing.key"))
