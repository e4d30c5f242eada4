import subprocess
import sys
from dataclasses import replace

import grpc
import pytest
from google.protobuf.message import DecodeError
from hypothesis import HealthCheck, given, settings
from policy_api import policy_pb2 as pb

from benchmarks.serving.fuzz import Server, fuzz, fuzz_call, server_command
from benchmarks.serving.fuzz_recipes import MARKER_NAME, pickle_that_writes, recipes
from benchmarks.serving.fuzz_targets import Robots, Target, policy_targets

MESSAGES = 300


REFUSED_WHATEVER_THEY_SAY = {"PolicyAdmin/LoadRevision", "PolicyAdmin/Rollback", "PolicyAdmin/UnloadRevision"}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    running = Server(server_command(tmp_path_factory.mktemp("checkpoints")))
    yield running
    running.stop()


@pytest.mark.timeout(600)  # seconds on a machine that is idle; every message waits its turn on one that is not
def test_every_call_takes_what_nobody_should_send(server):
    report = fuzz(server, MESSAGES)
    assert report.findings == []
    assert (report.crashes, report.hangs) == (0, 0)
    for name, found in report.calls.items():
        assert found.messages == MESSAGES + MESSAGES // 10, name
        assert found.statuses["INVALID_ARGUMENT"] > 0, name
        if name in REFUSED_WHATEVER_THEY_SAY:  # one revision, no other one before it, and no good checkpoint
            assert len(found.statuses) > 1, f"no message got past the first check of {name}: {found.statuses}"
        else:
            assert found.statuses["OK"] > 0, f"no message got past the first check of {name}: {found.statuses}"
    services = [pb.DESCRIPTOR.services_by_name[name] for name in ("PolicyService", "PolicyAdmin")]
    assert set(report.calls) == {f"{service.name}/{call.name}" for service in services for call in service.methods}


def test_a_wrong_status_would_be_found(server, tmp_path):
    with grpc.insecure_channel(server.address) as channel:
        robots = Robots(channel)
        info = next(target for target in policy_targets(robots) if target.method.endswith("GetServerInfo"))
        impossible = replace(info, right=frozenset({grpc.StatusCode.NOT_FOUND}))
        found = fuzz_call(impossible, channel, server, tmp_path / MARKER_NAME, 30, 0)
        assert any("expected ['NOT_FOUND']" in finding for finding in found.findings)
        unknown = replace(info, method=info.method + "s")
        found = fuzz_call(unknown, channel, server, tmp_path / MARKER_NAME, 5, 0)
        assert any("UNIMPLEMENTED" in finding for finding in found.findings)


def test_a_crash_would_be_found(tmp_path):
    code = "import time; print('policy_server ready on 127.0.0.1:1: model m', flush=True); time.sleep(600)"
    doomed = Server([sys.executable, "-c", code])

    def kill():
        doomed.process.kill()
        doomed.process.wait()
        return pb.GetServerInfoRequest()

    target = Target("/policy_api.v1.PolicyService/GetServerInfo", pb.GetServerInfoRequest, kill, frozenset())
    try:
        assert (doomed.address, doomed.admin_address) == ("127.0.0.1:1", None)
        with grpc.insecure_channel(doomed.address) as channel:
            found = fuzz_call(target, channel, doomed, tmp_path / MARKER_NAME, 30, 0)
        assert (found.messages, found.crashes) == (1, 1)
        assert found.findings[0].startswith("crash after")
    finally:
        doomed.stop()


def test_the_pickle_is_a_real_one(tmp_path):
    marker = tmp_path / MARKER_NAME
    code = "import pickle, sys; pickle.load(sys.stdin.buffer)"
    subprocess.run([sys.executable, "-c", code], input=pickle_that_writes(marker), check=True)
    assert marker.exists()


def test_recipes_are_not_all_of_one_sort(tmp_path):
    parsed = []

    @settings(max_examples=200, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(recipes(pb.InferRequest, tmp_path / MARKER_NAME))
    def collect(recipe):
        data = recipe(pb.InferRequest(session_id="live", epoch=1, seq=5, task="push"))
        try:
            parsed.append(pb.InferRequest.FromString(data).session_id)
        except DecodeError:
            parsed.append(None)

    collect()
    assert 20 < parsed.count(None) < 180
    assert parsed.count("live") > 20
