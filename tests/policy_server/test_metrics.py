import json
import re
import socket
import ssl
import urllib.request
from datetime import datetime, timezone
from pathlib import Path
from types import SimpleNamespace

import pytest
from policy_api.channel import TlsFiles
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

import policy_server
from policy_server.certificates import make
from policy_server.metrics import MAX_REVISIONS, MAX_ROBOTS, OTHER, Metrics
from policy_server.metrics_http import MetricsEndpoint
from policy_server.observing import Call, Chunk, SessionView
from policy_server.seam import Placement
from policy_server.stats import RevisionStats

DASHBOARD = Path(policy_server.__file__).parent / "dashboards" / "policy_server.json"
WHO = {"model": "m", "revision": "a" * 12, "slot": "stable"}


def chunk(revision="a" * 64, robot_id="arm"):
    return Chunk(robot_id, "m", revision, "stable", 1, 2, 4, 1_000_000, 300_000, 20_000, 5_000_000, 70_000)


def resident(revision="a" * 64, slot="stable"):
    """A revision in memory that has answered ten times."""
    stats = RevisionStats()
    for _ in range(10):
        stats.answered(numbers=10, clipped_numbers=2)
    for _ in range(2):
        stats.deadline_missed()
    stats.bad_answer()
    stats.inferred(3_000_000_000)
    return Placement(SimpleNamespace(spec=SimpleNamespace(model="m"), revision=revision, stats=stats), slot)


@pytest.fixture
def sessions():
    return [SessionView("arm", "m", "stable", 60.0, 0.5)]


@pytest.fixture
def metrics(sessions):
    return Metrics(lambda: sessions, lambda: [resident()])


def read(metrics):
    """Sample name -> [(labels, value)]."""
    found = {}
    for family in text_string_to_metric_families(generate_latest(metrics.registry).decode()):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


def test_stages_of_chunks(metrics):
    metrics.chunk(chunk())
    metrics.chunk(chunk())
    found = read(metrics)
    sums = {labels["stage"]: value for labels, value in found["policy_stage_seconds_sum"]}
    assert sums == pytest.approx(
        {"decode": 2e-3, "queue": 4e-5, "preprocess": 6e-4, "infer": 1e-2, "postprocess": 1.4e-4}
    )
    assert all(value == 2 for _, value in found["policy_stage_seconds_count"])
    assert {k: v for k, v in found["policy_stage_seconds_sum"][0][0].items() if k != "stage"} == WHO
    assert found["policy_batch_rows_sum"] == [(WHO, 8.0)]
    rows = {labels["le"]: value for labels, value in found["policy_batch_rows_bucket"]}
    assert (rows["2.0"], rows["4.0"]) == (0, 2)


def test_calls(metrics):
    for status, error in (("OK", ""), ("OK", ""), ("ABORTED", "Superseded"), ("ABORTED", "StaleRequest")):
        metrics.call(Call("PolicyService/Infer", status, error, 2_000_000))
    metrics.call(Call("PolicyService/Watch", "OK", "", 10**12))
    found = read(metrics)
    calls = {(labels["method"], labels["status"]): value for labels, value in found["policy_calls_total"]}
    assert calls == {
        ("PolicyService/Infer", "OK"): 2,
        ("PolicyService/Infer", "ABORTED"): 2,
        ("PolicyService/Watch", "OK"): 1,
    }
    assert found["policy_superseded_total"] == [({}, 1)]
    assert found["policy_call_seconds_sum"] == [({"method": "PolicyService/Infer"}, pytest.approx(8e-3))]


def test_sessions_are_read_when_asked(metrics, sessions):
    assert read(metrics)["policy_session_silent_seconds"] == [({"robot": "arm"}, 0.5)]
    sessions[:] = [SessionView("arm", "m", "canary", 5, 1), SessionView("arm", "m", "stable", 70, 3)]
    found = read(metrics)
    assert found["policy_session_age_seconds"] == [({"robot": "arm"}, 70)]
    assert found["policy_session_silent_seconds"] == [({"robot": "arm"}, 3)]
    assert sorted(labels["slot"] for labels, _ in found["policy_sessions"]) == ["canary", "stable"]
    sessions.clear()
    assert "policy_session_age_seconds" not in read(metrics)


def test_revisions_are_read_when_asked(metrics):
    found = read(metrics)
    assert found["policy_revision_answers_total"] == [(WHO, 10)]
    assert found["policy_deadline_misses_total"] == [(WHO, 2)]
    assert found["policy_bad_answers_total"] == [(WHO, 1)]
    assert found["policy_revision_clipped_ratio"] == [(WHO, 0.2)]
    assert found["policy_revision_busy_seconds_total"] == [(WHO, 3)]


def test_labels_are_bounded():
    sessions = [SessionView(f"arm-{i}", "m", "stable", i, 0) for i in range(3 * MAX_ROBOTS)]
    revisions = [resident(f"{i:064d}"[::-1], "idle") for i in range(3 * MAX_REVISIONS)]
    metrics = Metrics(lambda: sessions, lambda: revisions)
    for i in range(3 * MAX_REVISIONS):
        metrics.chunk(chunk(f"{i:064d}"[::-1]))
    for _ in range(2):
        found = read(metrics)
        robots = [labels["robot"] for labels, _ in found["policy_session_age_seconds"]]
        assert len(robots) == len(set(robots)) == MAX_ROBOTS + 1
        assert {labels["robot"]: value for labels, value in found["policy_session_age_seconds"]}[OTHER] == 191
        shorts = [labels["revision"] for labels, _ in found["policy_revision_answers_total"]]
        assert len(shorts) == len(set(shorts)) == MAX_REVISIONS + 1
        assert len(found["policy_batch_rows_sum"]) == MAX_REVISIONS + 1


def test_every_query_of_the_dashboard_names_a_metric(metrics):
    metrics.chunk(chunk())
    metrics.call(Call("PolicyService/Infer", "OK", "", 1))
    found = read(metrics)
    board = json.loads(DASHBOARD.read_text())
    queries = [target["expr"] for panel in board["panels"] for target in panel.get("targets", [])]
    queries += [variable["query"] for variable in board["templating"]["list"] if variable["type"] == "query"]
    assert len(queries) > 10
    used = set()
    for query in queries:
        names = re.findall(r"\b(?:policy|process)_\w+", query)
        assert names, query
        for name in names:
            assert name in found, f"{query}: {name} is no metric"
        used.update(names)
        for selector in re.findall(r"\{([^}]*)\}", query):
            for label in re.findall(r"(\w+)\s*=~?", selector):
                assert any(label in labels for labels, _ in found[names[0]]), f"{query}: no label {label}"
        for grouping in re.findall(r"by \(([^)]*)\)", query):
            for label in grouping.split(","):
                assert any(label.strip() in labels for labels, _ in found[names[0]]), f"{query}: no label {label}"
    families = {re.sub(r"_(bucket|sum|count|created|total)$", "", name) for name in found if name.startswith("policy_")}
    assert {re.sub(r"_(bucket|sum|count|total)$", "", name) for name in used} >= families


def test_panels_of_the_dashboard_do_not_overlap():
    cells = set()
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        place = panel["gridPos"]
        own = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not own & cells, panel["title"]
        assert place["x"] + place["w"] <= 24
        cells |= own


def test_metrics_over_http(metrics):
    endpoint = MetricsEndpoint(metrics.registry, "127.0.0.1:0")
    try:
        with urllib.request.urlopen(f"http://{endpoint.address}/metrics", timeout=20) as answer:
            assert b"policy_sessions" in answer.read()
        with pytest.raises(OSError, match=f"cannot serve metrics on {endpoint.address}"):
            MetricsEndpoint(metrics.registry, endpoint.address)
    finally:
        endpoint.stop()
    with pytest.raises(OSError):
        urllib.request.urlopen(f"http://{endpoint.address}/metrics", timeout=20)


def test_metrics_are_in_plaintext_on_loopback_only(metrics):
    for address in ("0.0.0.0:9464", "[::]:9464", "10.1.2.3:9464"):
        with pytest.raises(ValueError, match="refusing to listen"):
            MetricsEndpoint(metrics.registry, address)
    with pytest.raises(ValueError, match="not host:port"):
        MetricsEndpoint(metrics.registry, "unix:/tmp/metrics")


def test_metrics_with_certificates(metrics, tmp_path):
    folder = tmp_path / "certs"
    make(folder, [], [], [], datetime.now(timezone.utc))
    endpoint = MetricsEndpoint(metrics.registry, "127.0.0.1:0", TlsFiles.of(folder / "server"))
    silent = socket.create_connection(endpoint.address.split(":"), 20)  # says nothing, and holds up nobody
    try:
        url = f"https://{endpoint.address}/metrics"
        trusting = ssl.create_default_context(cafile=str(folder / "ca.pem"))
        with pytest.raises(OSError):
            urllib.request.urlopen(url, timeout=20, context=trusting)
        admin = TlsFiles.of(folder / "admins" / "admin")
        trusting.load_cert_chain(admin.cert, admin.key)
        with urllib.request.urlopen(url, timeout=20, context=trusting) as answer:
            assert b"policy_sessions" in answer.read()
    finally:
        silent.close()
        endpoint.stop()
