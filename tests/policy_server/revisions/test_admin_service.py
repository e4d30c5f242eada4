"""PolicyAdmin over gRPC, and the command line on top of it."""

import threading

import grpc
import pytest
from policy_api import policy_pb2 as pb
from policy_api import policy_pb2_grpc
from policy_api.client import PolicyClient
from policy_api.errors import UnknownSession
from revision_policies import until

from policy_server.__main__ import main
from policy_server.admin_service import PolicyAdminService
from policy_server.revisions import loading
from policy_server.revisions.guardrails import Guardrails
from policy_server.revisions.jobs import LoadJobs
from policy_server.server import AdminConfig, PolicyServer, ServerConfig

Code = grpc.StatusCode
A, B = "a" * 64, "b" * 64


@pytest.fixture
def running(hub, operations, loader):
    """A server with an admin port; the folder of checkpoints is `folder`."""
    servicer = PolicyAdminService(operations, LoadJobs(loader))
    server = PolicyServer(hub, ServerConfig("127.0.0.1:0", admin=AdminConfig(servicer, "127.0.0.1:0")))
    yield server
    server.stop()


@pytest.fixture
def admin(running):
    with grpc.insecure_channel(running.admin_address) as channel:
        yield policy_pb2_grpc.PolicyAdminStub(channel)


@pytest.fixture
def shell(running, capsys, monkeypatch):
    """Run `python -m policy_server admin ..`; what it prints, and its exit code."""
    monkeypatch.setenv("COLUMNS", "160")

    def type_in(*words):
        code = 0
        try:
            main(["admin", "--address", running.admin_address, *words])
        except SystemExit as end:
            code = end.code
        out, err = capsys.readouterr()
        return code, out + err

    return type_in


def refused(call, code, *words):
    with pytest.raises(grpc.RpcError) as error:
        call()
    assert error.value.code() is code, error.value.details()
    for word in words:
        assert word in error.value.details()
    assert "Traceback" not in error.value.details()


def test_load_list_traffic_rollback_unload(admin, running, spec):
    steps = list(admin.LoadRevision(pb.LoadRevisionRequest(checkpoint="one"), timeout=30))
    assert [*dict.fromkeys(step.phase for step in steps)] == [1, 2, 3, 4, 5]
    one = steps[-1].spec.revision
    assert steps[-1].spec.spec_hash == spec.spec_hash
    assert 0 <= steps[-1].golden_error < 0.01
    two = list(admin.LoadRevision(pb.LoadRevisionRequest(checkpoint="two"), timeout=30))[-1].spec.revision
    found = admin.ListRevisions(pb.ListRevisionsRequest(), timeout=5)
    assert [(status.spec.revision, status.slot) for status in found.revisions] == [(one, "stable"), (two, "idle")]
    assert found.guardrails[0].max_bad_answers == Guardrails().max_bad_answers

    wanted = pb.Traffic(stable=two, etag=found.traffic[0].etag)
    after = admin.SetTraffic(pb.SetTrafficRequest(traffic=wanted), timeout=5)
    assert (after.stable, after.previous, after.reason) == (two, one, "set by an operator")
    refused(
        lambda: admin.SetTraffic(pb.SetTrafficRequest(traffic=wanted), timeout=5),
        Code.ABORTED,
        f"the present one is {after.etag}",
    )
    back = admin.Rollback(pb.RollbackRequest(), timeout=5)
    assert (back.stable, back.previous, back.reason) == (one, "", "rolled back by an operator")
    with PolicyClient(running.address, "robot") as client:
        client.open_session(spec.spec_hash)
        assert client.server_info().models[0].revision == one
    admin.UnloadRevision(pb.UnloadRevisionRequest(revision=two), timeout=5)
    assert len(admin.ListRevisions(pb.ListRevisionsRequest(model="echo"), timeout=5).revisions) == 1


def test_refusals_have_their_status(admin, add, hub):
    load = lambda **given: list(admin.LoadRevision(pb.LoadRevisionRequest(**given), timeout=30))  # noqa: E731
    change = lambda **given: admin.SetTraffic(pb.SetTrafficRequest(**given), timeout=5)  # noqa: E731
    refused(lambda: load(checkpoint="../x"), Code.FAILED_PRECONDITION, "relative to the server's folder")
    refused(lambda: load(checkpoint="three"), Code.NOT_FOUND, "'three' is not in the server's folder")
    refused(lambda: load(checkpoint="one", revision=A), Code.FAILED_PRECONDITION, f"not '{A}'")
    refused(lambda: admin.Rollback(pb.RollbackRequest(), timeout=5), Code.NOT_FOUND, "none yet; load a checkpoint")
    add("a")
    refused(lambda: change(), Code.INVALID_ARGUMENT, "traffic is missing")
    refused(lambda: change(traffic=pb.Traffic()), Code.INVALID_ARGUMENT, "stable is empty")
    refused(lambda: change(traffic=pb.Traffic(stable=B)), Code.NOT_FOUND, "not in memory; loaded are aaaaaaaaaaaa")
    refused(lambda: change(traffic=pb.Traffic(stable=A, model="x")), Code.NOT_FOUND, "name one of: echo")
    refused(
        lambda: change(traffic=pb.Traffic(stable=A), guardrails=pb.Guardrails(max_clipped=2)),
        Code.INVALID_ARGUMENT,
        "guardrails.max_clipped is 2",
    )
    refused(lambda: admin.Rollback(pb.RollbackRequest(), timeout=5), Code.INVALID_ARGUMENT, "no previous stable")
    unload = pb.UnloadRevisionRequest(revision=A, force=True)
    refused(lambda: admin.UnloadRevision(unload, timeout=5), Code.FAILED_PRECONDITION, "is the stable one")
    refused(lambda: admin.ListRevisions(pb.ListRevisionsRequest(model="x"), timeout=5), Code.NOT_FOUND, "echo")


def test_robots_cannot_administer(running):
    with grpc.insecure_channel(running.address) as channel:
        stub = policy_pb2_grpc.PolicyAdminStub(channel)
        refused(lambda: stub.Rollback(pb.RollbackRequest(), timeout=5), Code.UNIMPLEMENTED)


def test_a_cancelled_load_goes_on_and_can_be_joined(admin, operations, monkeypatch):
    entered, go = threading.Event(), threading.Event()
    build = loading.build_policy

    def slow(path, manifest):
        entered.set()
        assert go.wait(20)
        return build(path, manifest)

    monkeypatch.setattr(loading, "build_policy", slow)
    call = admin.LoadRevision(pb.LoadRevisionRequest(checkpoint="one"), timeout=30)
    assert entered.wait(20)
    call.cancel()
    refused(
        lambda: list(admin.LoadRevision(pb.LoadRevisionRequest(checkpoint="two"), timeout=30)),
        Code.RESOURCE_EXHAUSTED,
        "is loading 'one' (loading)",
    )
    joined = admin.LoadRevision(pb.LoadRevisionRequest(checkpoint="one"), timeout=30)
    assert next(joined).phase == pb.VERIFYING
    go.set()
    assert list(joined)[-1].phase == pb.ADMITTED
    assert [view.slot for view in operations.revisions("")] == ["stable"]


def test_a_forced_unload_revokes_the_session(admin, running, add, observe):
    add("a")
    add("b")
    admin.SetTraffic(pb.SetTrafficRequest(traffic=pb.Traffic(stable=B)), timeout=5)
    with PolicyClient(running.address, "robot") as client:
        client.open_session()
        assert client.infer(observe(), 20).revision == B
        admin.Rollback(pb.RollbackRequest(), timeout=5)
        assert client.infer(observe(), 20).revision == B
        refused(
            lambda: admin.UnloadRevision(pb.UnloadRevisionRequest(revision=B), timeout=5),
            Code.FAILED_PRECONDITION,
            "1 sessions hold revision bbbbbbbbbbbb",
        )
        admin.UnloadRevision(pb.UnloadRevisionRequest(revision=B, force=True), timeout=10)

        def is_revoked():
            try:
                client.infer(observe(), 20)
            except UnknownSession as error:
                return "unloaded" in str(error)
            except Exception:  # noqa: BLE001 - refused by the revision before the session ended
                return False

        until(is_revoked)
        client.open_session()
        assert client.infer(observe(), 20).revision == A


def test_an_operator_changes_revisions_from_a_shell(shell):
    code, text = shell("load", "one")
    assert code == 0, text
    assert "of model echo is in memory; golden answers are at most 0.00% of their range off" in text
    one = text.split("revision ")[1].split()[0]
    assert "in memory;" not in shell("load", "one")[1]
    two = shell("load", "two")[1].split("revision ")[1].split()[0]
    code, text = shell("traffic", "--canary", two[:6], "--canary-fraction", "0.2", "--max-clipped", "0")
    assert f"stable {one[:12]}, canary {two[:12]} for 20% of the episodes" in text, text
    code, text = shell("list")
    assert all(word in text for word in ("Model echo", one[:12], two[:12], "canary", "late", "p95 ms", "etag"))
    assert "a canary ends at: deadline misses 0.1, bad answers 1, success drop 0.1 (rates from 50 requests" in text
    assert f"stable {two[:12]}, previous {one[:12]}" in shell("traffic", "--stable", "canary")[1]
    assert f"stable {one[:12]}" in shell("rollback")[1]
    text = shell("traffic", "--shadow", two, "--shadow-fraction", "0.5", "--reason", "[/] curious")[1]
    assert "50% of the observations" in text and "since: [/] curious" in text
    assert "shadow" not in shell("traffic", "--shadow", "none")[1]
    assert "is not in memory any more" in shell("unload", two[:8])[1]


def test_what_an_operator_mistypes_is_named(shell, add):
    code, text = shell("traffic", "--stable", A)
    assert (code, "name one model with --model; there are: none" in text) == (1, True)
    add("a")
    add("b")
    for words, says in (
        (("load", "../one"), "give its path relative"),
        (("traffic", "--stable", "f"), "'f' names no revision in memory; there are: aaaaaaaaaaaa (stable), bbb"),
        (("unload", "idle2"), "'idle2' names no revision"),
        (("unload", ""), "'' names no revision"),
        (("traffic", "--canary", "b"), "say how much the canary gets, with --canary-fraction"),
        (("traffic", "--canary-fraction", "0.5"), "no canary is named"),
        (("rollback", "--model", "x"), "name one of: echo"),
        (("list", "--model", "x"), "name one of: echo"),
    ):
        code, text = shell(*words)
        assert code == 1
        assert says in text.replace("\n", " "), text


def test_what_robots_say_of_their_episodes_ends_a_canary(admin, running, add, observe):
    add("a")
    add("b")
    with PolicyClient(running.address, "judged") as client:
        client.open_session(episode_id="0", timeout_s=30)
        for i in range(8):
            client.reset_session(f"stable {i}", timeout_s=30, outcome="success")
        canary = pb.Traffic(stable=A, canary=B, canary_fraction=1.0)
        limits = pb.Guardrails(min_episodes=5, max_success_drop=0.1)
        admin.SetTraffic(pb.SetTrafficRequest(traffic=canary, guardrails=limits), timeout=20)
        client.reset_session("canary 0", timeout_s=30, outcome="discarded")
        for i in range(1, 5):
            client.reset_session(f"canary {i}", timeout_s=30, outcome="failure")
            assert client.infer(observe(), 30).revision == B
        client.reset_session("canary 5", timeout_s=30, outcome="failure")  # placed before its verdict is known
        client.reset_session("after", timeout_s=30)
        assert client.infer(observe(), 30).revision == A
    traffic = admin.ListRevisions(pb.ListRevisionsRequest(), timeout=20).traffic[0]
    assert traffic.canary == ""
    assert "0 of 5 episodes succeeded, against 8 of 8 of the stable revision" in traffic.reason
