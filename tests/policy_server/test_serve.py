"""The command as a process of its own, with everything that it can open."""

import json
import signal
import subprocess
import sys
import time

import grpc
import pytest
from policy_api import policy_pb2 as pb
from policy_api import policy_pb2_grpc
from policy_api.client import PolicyClient
from websockets.sync.client import connect

from policy_server.__main__ import main


def test_everything_opens_and_ends_together(tmp_path):
    command = [sys.executable, "-m", "policy_server", "serve", "--backend", "scripted:wave"]
    command += ["--backend", "scripted:hold", "--checkpoints", str(tmp_path), "--lease-s", "7"]
    command += [word for port in ("address", "admin", "openpi") for word in (f"--{port}", "127.0.0.1:0")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        openpi, ready = process.stdout.readline().strip(), process.stdout.readline().strip()
        assert "ready on" in ready
        address = ready.split("ready on ")[1].split(": ")[0]
        admin = ready.split("admin on ")[1].rstrip(")")
        with PolicyClient(address, "robot") as client:
            (stable,) = client.server_info().models
            client.open_session()
        with grpc.insecure_channel(address) as channel:
            stub = policy_pb2_grpc.PolicyServiceStub(channel)
            assert stub.OpenSession(pb.OpenSessionRequest(), timeout=20).lease_ms == 7000
        with grpc.insecure_channel(admin) as channel:
            listed = policy_pb2_grpc.PolicyAdminStub(channel).ListRevisions(pb.ListRevisionsRequest(), timeout=20)
            assert sorted(status.slot for status in listed.revisions) == ["idle", "stable"]
            assert listed.traffic[0].stable == stable.revision
        with connect(openpi.split("robots on ")[1]) as socket:
            assert stable.revision.encode() in socket.recv(20)
            start = time.monotonic()
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
            assert time.monotonic() - start < 5.0
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "nothing to serve; name a policy with --checkpoint DIR or --backend NAME"),
        (["--backend", "scripted:dance"], "dance"),
        (["--backend", "scripted:wave", "--openpi", "0.0.0.0:8000"], "refusing to listen on '0.0.0.0:8000'"),
        (["--checkpoints", ".", "--admin", "0.0.0.0:1", "--insecure-bind"], "refusing to listen on '0.0.0.0:1'"),
        (["--checkpoints", "/nowhere"], "/nowhere is no directory"),
        (["--engine", "ray", "--backend", "scripted:wave", "--openpi", "127.0.0.1:0"], "leave --engine ray out"),
        (["--backend", "scripted:wave", "--lease-s", "0.1"], "--lease-s is 0.1; 1..3600 is taken"),
        (["--backend", "scripted:wave", "--tls", "/nowhere"], "certs"),
        (["--backend", "scripted:wave", "--openpi-key", "front"], "'front' is not NAME=KEY"),
    ],
)
def test_start_that_cannot_work_says_why(capsys, arguments, words):
    with pytest.raises(SystemExit) as error:
        main(arguments)
    assert error.value.code == 1
    text = capsys.readouterr().err
    assert text.startswith("policy_server: ")
    assert words in text
    assert json.dumps(text).count("Traceback") == 0


def test_help_names_the_commands(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    text = capsys.readouterr().out
    for command in ("serve", "admin", "bench", "certs"):
        assert f"  {command} " in text
