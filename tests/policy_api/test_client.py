import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import grpc
import numpy as np
import pytest
import wire_server
from policy_api import policy_pb2 as pb
from policy_api import serde
from policy_api.client import PolicyClient
from policy_api.errors import (
    ContractMismatch,
    DeadlineExceeded,
    InvalidActions,
    InvalidObservation,
    PolicyApiError,
    ServerUnavailable,
    StaleRequest,
    Superseded,
    UnknownModel,
    UnknownSession,
)
from policy_api.events import Draining, Load, NewRevision, Revoked
from policy_api.schema import Committed, EncodedImage

Code = grpc.StatusCode


@pytest.fixture
def service(spec):
    return wire_server.WireService(spec, prefix_steps=4)


@pytest.fixture
def address(service):
    running, bound = wire_server.serve(service)
    yield bound
    running.stop(None)


@pytest.fixture
def client(address):
    with PolicyClient(address, "robot-1") as made:
        yield made


def test_a_session_says_what_it_is(client, service, spec):
    assert client.session is None
    assert client.open_session(spec.spec_hash, expect_spec=spec, stable_only=True, episode_id="e1", model="m") == spec
    request = service.asked[0]
    assert (request.robot_id, request.episode_id, request.model) == ("robot-1", "e1", "m")
    assert request.stable_only
    assert request.priority == pb.ROBOT
    session = client.session
    assert (session.epoch, session.slot, session.prefix_steps, session.lease_ms) == (1, "stable", 4, 1000)
    assert (session.revision, session.boot_id, session.p95_infer_us) == ("a" * 64, service.boot_id, 7)
    assert not session.server_restarted


def test_priority_outcomes_and_revisions_reach_the_server(address, service, spec):
    with PolicyClient(address, "robot", priority="evaluation") as client:
        client.open_session(revision="b" * 64)
        service.revision = "b" * 64
        assert client.reset_session("e2", outcome="success", keep_revision=True) == spec
        assert (client.session.epoch, client.session.revision) == (2, "b" * 64)
        client.close("failure")
    opened, reset, closed = service.asked
    assert (opened.priority, opened.revision) == (pb.EVALUATION, "b" * 64)
    assert (reset.episode_id, reset.outcome, reset.keep_revision) == ("e2", pb.SUCCESS, True)
    assert closed.outcome == pb.FAILURE


def test_settings_that_make_no_sense_are_refused(address, client):
    with pytest.raises(ValueError, match="priority is 'high'; known are robot"):
        PolicyClient(address, "r", priority="high")
    with pytest.raises(ValueError, match="server on this host"):
        PolicyClient("10.0.0.1:50051", "r", shared_memory=True)
    with pytest.raises(ValueError, match="neither host:port"):
        PolicyClient("10.0.0.1", "r")
    client.open_session()
    with pytest.raises(ValueError, match="outcome is 'won'; known are success"):
        client.reset_session(outcome="won")


def test_a_unix_socket_is_an_address(service, observation, tmp_path):
    running, bound = wire_server.serve(service, f"unix:{tmp_path}/policy.sock")
    with PolicyClient(bound, "robot", shared_memory=True) as client:
        client.open_session()
        client.infer(observation, 5)
    running.stop(None)
    assert service.observations[0][1].images == observation.images


def test_committed_actions_reach_the_server(client, service, observation):
    client.open_session()
    prefix = Committed(np.full((3, 4), 0.01, np.float32), 2, observation.step)
    client.infer(replace(observation, committed=prefix), 5)
    seen = service.observations[0][1].committed
    np.testing.assert_array_equal(seen.actions, prefix.actions)
    with pytest.raises(InvalidObservation, match="delay_steps"):
        client.infer(replace(observation, committed=replace(prefix, delay_steps=4)), 5)


def test_frames_travel_through_shared_memory(address, service, observation):
    before = set(Path("/dev/shm").glob("armature-policy-*"))
    with PolicyClient(address, "robot", shared_memory=True) as client:
        client.open_session()
        for _ in range(20):
            client.infer(observation, 5)
        client.open_session()
        client.infer(observation, 5)
        assert len(set(Path("/dev/shm").glob("armature-policy-*")) - before) == 1
    assert not set(Path("/dev/shm").glob("armature-policy-*")) - before
    for request, seen in service.observations:
        assert seen.images == observation.images
        assert all(image.HasField("shared") and not image.data for image in request.images)


def test_a_frame_that_fits_no_slot_goes_along(address, service, observation):
    big = EncodedImage("jpeg", 160, 120, bytes(160 * 120 * 3 + 1), 5)
    with PolicyClient(address, "robot", shared_memory=True) as client:
        client.open_session()
        client.infer(replace(observation, images={**observation.images, "front": big}), 5)
    front, wrist = service.observations[0][0].images
    assert (len(front.data), wrist.HasField("shared")) == (160 * 120 * 3 + 1, True)


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        (lambda r: setattr(r, "obs_seq", r.obs_seq + 1), StaleRequest),
        (lambda r: setattr(r, "first_step", r.first_step + 1), StaleRequest),
        (lambda r: setattr(r, "epoch", 7), StaleRequest),
        (lambda r: setattr(r, "session_id", "another"), StaleRequest),
        (lambda r: setattr(r, "dt_ns", 7), InvalidActions),
        (lambda r: setattr(r, "spec_hash", "0" * 64), ContractMismatch),
        (lambda r: r.actions.CopyFrom(serde.tensor_to_proto(np.full((8, 4), 9, np.float32))), InvalidActions),
    ],
)
def test_an_answer_to_another_question_is_dropped(client, service, observation, spoil, error):
    client.open_session()
    service.spoil = spoil
    with pytest.raises(error):
        client.infer(observation, 5)
    service.spoil = lambda reply: None
    client.infer(observation, 5)
    assert client.statistics.snapshot(time.monotonic_ns()).answers == 1


@pytest.mark.parametrize(
    ("refuse", "error", "words"),
    [
        ((Code.ABORTED, "a newer one came", "Superseded"), Superseded, "a newer one came"),
        ((Code.ABORTED, "request 3", ""), StaleRequest, "request 3"),
        ((Code.NOT_FOUND, "models are x, y", "UnknownModel"), UnknownModel, "models are x, y"),
        ((Code.DEADLINE_EXCEEDED, "100 ms queue", "DeadlineExceeded"), DeadlineExceeded, "within 5 s.*100 ms queue"),
        ((Code.UNAVAILABLE, "the server is stopping", "ServerUnavailable"), ServerUnavailable, "^the server is stop"),
        ((Code.DATA_LOSS, "odd", "NoSuchError"), PolicyApiError, "odd"),
        ((Code.PERMISSION_DENIED, "", ""), PolicyApiError, "answered PERMISSION_DENIED"),
    ],
)
def test_refusals_keep_their_meaning(client, service, refuse, error, words):
    service.refuse = refuse
    with pytest.raises(error, match=words):
        client.open_session()


def test_a_contract_that_changes_at_a_reset_ends_the_session(client, service, spec):
    client.open_session()
    service.spec = replace(spec, horizon=9)
    with pytest.raises(ContractMismatch, match="open a new session"):
        client.reset_session()
    assert client.session is None


def test_statistics_count_what_happened(client, service, observation):
    client.open_session()
    client.infer(replace(observation, stamp_ns=time.monotonic_ns() - 50_000_000), 5)
    service.refuse = (Code.ABORTED, "newer", "Superseded")
    with pytest.raises(Superseded):
        client.infer(observation, 5)
    seen = client.statistics.snapshot(time.monotonic_ns())
    assert (seen.answers, seen.superseded, seen.stale) == (1, 1, 0)
    assert 50 < seen.age.p50_ms < 5000
    assert 0 < seen.rtt.p50_ms < seen.age.p50_ms


@pytest.fixture
def heard(address):
    events = queue.Queue()
    with PolicyClient(address, "robot", on_event=events.put) as client:
        client.open_session()
        yield client, events


def test_events_are_handed_over_in_order(heard, service, spec):
    _, events = heard
    fresh = serde.spec_to_proto(spec, "b" * 64, 8)
    service.events.put(pb.SessionEvent(load=pb.Load(busy=0.5, waiting=2, p95_infer_us=9)))
    service.events.put(pb.SessionEvent())  # of a later version
    service.events.put(pb.SessionEvent(new_revision=pb.PolicySpec(model="broken")))
    service.events.put(pb.SessionEvent(new_revision=fresh))
    service.events.put(pb.SessionEvent(draining=pb.Draining(grace_ms=900)))
    assert events.get(timeout=10) == Load(0.5, 2, 9)
    event = events.get(timeout=10)
    assert isinstance(event, NewRevision)
    assert (event.model.revision, event.model.prefix_steps) == ("b" * 64, 8)
    assert events.get(timeout=10) == Draining(900)


def test_a_revoked_session_must_be_opened_again(heard, service, observation):
    client, events = heard
    service.events.put(pb.SessionEvent(revoked=pb.Revoked(reason="the revision was unloaded")))
    assert events.get(timeout=10) == Revoked("the revision was unloaded")
    with pytest.raises(UnknownSession, match="open_session"):
        client.infer(observation, 5)
    client.open_session()
    client.infer(observation, 5)


def test_a_watch_that_breaks_is_opened_again_and_ends_with_the_session(heard, service):
    client, events = heard
    first = service.watching.get(timeout=10)
    service.events.put(None)
    assert service.watching.get(timeout=10) == first
    service.epochs.clear()
    service.events.put(None)
    event = events.get(timeout=10)
    assert isinstance(event, Revoked)
    assert "not open here" in event.reason
    assert client.session is None


def test_a_server_without_events_keeps_the_session(spec, observation):
    asked = threading.Event()

    class Silent(wire_server.WireService):
        def Watch(self, request, context):  # noqa: N802 - named by the proto
            asked.set()
            context.abort(Code.UNIMPLEMENTED, "no such method")

    running, bound = wire_server.serve(Silent(spec))
    with PolicyClient(bound, "robot", on_event=lambda event: pytest.fail(str(event))) as client:
        client.open_session()
        assert asked.wait(10)
        client.infer(observation, 5)
    running.stop(None)


def test_a_receiver_that_fails_keeps_hearing(address, service, caplog):
    heard = queue.Queue()

    def listen(event):
        heard.put(event)
        raise RuntimeError("receiver's own fault")

    with PolicyClient(address, "robot", on_event=listen) as client:
        client.open_session()
        for grace_ms in (1, 2):
            service.events.put(pb.SessionEvent(draining=pb.Draining(grace_ms=grace_ms)))
            assert heard.get(timeout=10) == Draining(grace_ms)


def test_no_thread_is_left_behind(address):
    before = {thread.name for thread in threading.enumerate()}
    with PolicyClient(address, "robot", on_event=lambda event: None) as client:
        for _ in range(3):
            client.open_session()
    end = time.monotonic() + 10
    while any(thread.name == "policy-watch" for thread in threading.enumerate()):
        assert time.monotonic() < end, before
        time.sleep(0.01)


def test_unacknowledged_bytes_end_the_connection_after_a_second(client, address):
    client.open_session()
    port = int(address.rpartition(":")[2])
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            copy = socket.socket(fileno=os.dup(int(name)))
        except OSError:
            continue
        with copy:
            try:
                ours = copy.family in (socket.AF_INET, socket.AF_INET6) and copy.getpeername()[1] == port
            except OSError:
                continue
            if ours:
                found.append(copy.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT))
    assert found == [1000]


def launch(spec, folder, address="127.0.0.1:0"):
    """The server as a process of its own."""
    spec_file = folder / "spec.json"
    spec_file.write_text(spec.to_json())
    command = [sys.executable, wire_server.__file__, address, spec_file]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    return process, process.stdout.readline().strip()


def kill(process):
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    process.stdout.close()


@pytest.mark.parametrize("down_s", [0.3, 4.0])
def test_client_is_back_within_half_a_second_of_the_server(spec, observation, tmp_path, down_s):
    process, address = launch(spec, tmp_path)
    with PolicyClient(address, "robot") as client:
        client.open_session()
        client.infer(observation, 5)
        boot_id = client.session.boot_id
        kill(process)
        down = time.monotonic()
        while time.monotonic() - down < down_s:
            with pytest.raises(ServerUnavailable, match="no policy server at"):
                client.infer(observation, 1)
            time.sleep(0.02)
        process, _ = launch(spec, tmp_path, address)
        ready = time.monotonic()
        while client.session is not None:
            with pytest.raises((ServerUnavailable, UnknownSession)):
                client.infer(observation, 1)
            time.sleep(0.01)
        seconds = time.monotonic() - ready
        client.open_session()
        client.infer(observation, 5)
        assert client.session.server_restarted
        assert client.session.boot_id != boot_id
    kill(process)
    assert seconds < 1.0  # half a second, and as much again for a machine with other things to do
