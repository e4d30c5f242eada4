import argparse
import json
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from datetime import datetime, timezone
from itertools import islice

import numpy as np
import pytest
from policy_api.channel import TlsFiles
from policy_api.errors import ServerFault, ServerUnavailable, UnknownModel
from policy_api.images import decode_image
from policy_api.schema import CameraSpec, DepthRange, Timing

from policy_server.bench.command import add_arguments, robot_name, run
from policy_server.bench.load import Load, Sample
from policy_server.bench.observations import made_up
from policy_server.bench.report import Report
from policy_server.certificates import make
from policy_server.security import TlsError, server_credentials


def bench(*arguments):
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    run(parser.parse_args([str(argument) for argument in arguments]))


def test_observations_fit_the_contract(spec):
    depth = CameraSpec("depth", 64, 48, 32, 90, DepthRange(0.2, 1.0))
    spec = replace(spec, cameras=(*spec.cameras, depth))
    seen = list(islice(made_up(spec, seed=1), 6))
    for observation in seen:
        observation.validate(spec)
        for camera in spec.cameras:
            decode_image(observation.images[camera.name], camera.depth)
    assert [observation.step for observation in seen] == list(range(6))
    assert seen[0].images["front"].data != seen[1].images["front"].data
    again = next(made_up(spec, seed=1))
    np.testing.assert_array_equal(again.state, seen[0].state)
    assert again.images["front"].data == seen[0].images["front"].data


def test_pictures_have_the_size_of_photographs(spec):
    spec = replace(spec, cameras=(CameraSpec("front", 640, 480, 224, 90),))
    assert 40_000 < len(next(made_up(spec, seed=0)).images["front"].data) < 150_000


def test_json_of_a_real_server(server, policy, capsys):
    policy.delay_s = 0.003
    bench("--target", server.address, "--clients", 3, "--seconds", 0.5, "--json")
    found = json.loads(capsys.readouterr().out)
    assert (found["target"], found["clients"], found["errors"], found["first_error"]) == (server.address, 3, {}, "")
    assert found["answers"] > 3
    assert sum(found["batches"].values()) == found["answers"]
    assert found["answers_per_s"] == pytest.approx(found["answers"] / found["seconds"], rel=0.01)
    assert list(found["times"]) == ["rtt", "network", "decode", "preprocess", "queue", "infer", "postprocess"]
    for times in found["times"].values():
        assert times["p50_ms"] <= times["p99_ms"] <= times["max_ms"]
    assert found["times"]["infer"]["p50_ms"] >= 3.0
    assert found["times"]["rtt"]["p50_ms"] > found["times"]["infer"]["p50_ms"]


def test_table_of_a_real_server(server, capsys):
    bench("--target", server.address, "--seconds", 0.2)
    text = capsys.readouterr().out
    assert f"{server.address}: 1 client, 0." in text
    for word in ("rtt", "network", "decode", "preprocess", "queue", "infer", "postprocess", "p50 ms", "p99 ms"):
        assert word in text
    assert "100 % of the answers in batches of 1" in text


def test_with_certificates_the_name_is_the_robots(start, tmp_path, capsys):
    folder = tmp_path / "certs"
    make(folder, ["arm-9"], [], [], datetime.now(timezone.utc))
    server = start(credentials=server_credentials(TlsFiles.of(folder / "server")))
    bench("--target", server.address, "--seconds", 0.2, "--clients", 2, "--tls", folder / "robots" / "arm-9", "--json")
    found = json.loads(capsys.readouterr().out)
    assert found["answers"] > 0
    assert found["errors"] == {}
    with pytest.raises(TlsError, match="no certificate of a robot; use DIR/robots/NAME"):
        bench("--target", server.address, "--tls", folder / "admins" / "admin")
    assert robot_name(folder / "robots" / "arm-9" / "cert.pem") == "arm-9"


def test_errors_are_counted_and_the_first_is_told(server, policy, capsys):
    policy.spoil = lambda actions: actions * np.nan
    with pytest.raises(ValueError, match=r"answered nothing: .*breaks its contract"):
        bench("--target", server.address, "--seconds", 0.2, "--timeout-s", 0.5)
    text = capsys.readouterr().out
    assert "x ServerFault" in text
    assert "the first error: " in text


def test_nobody_there_and_nothing_to_serve(server):
    with pytest.raises(ServerUnavailable, match=r"127.0.0.1:1\b"):
        bench("--target", "127.0.0.1:1", "--clients", 2)
    with pytest.raises(UnknownModel, match="'other' is not served"):
        bench("--target", server.address, "--model", "other")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--clients", 0], "--clients is 0; 1..32"),
        (["--clients", 33], "--clients is 33"),
        (["--seconds", 0], "--seconds is 0"),
        (["--seconds", 1e9], "--seconds is 1e"),
        (["--timeout-s", -1], "--timeout-s is -1"),
        (["--seconds", "nan"], "--seconds is nan"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        bench("--target", "127.0.0.1:1", *arguments)


def test_interrupted_it_prints_what_it_has(server, policy):
    command = [sys.executable, "-m", "policy_server", "bench", "--target", server.address, "--seconds", "120", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    give_up = time.monotonic() + 60
    while len(policy.instructions) < 50 and time.monotonic() < give_up:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    found = json.loads(output)
    assert found["answers"] > 0
    assert 0 < found["seconds"] < 110


def test_report_adds_up():
    samples = [
        Sample(1_000_000 * i, Timing(queue_us=100 * i, infer_us=500 * i, batch=1 + i % 2)) for i in range(1, 102)
    ]
    report = Report.of("x", Load(2, samples, Counter({"ServerFault": 3}), str(ServerFault("no")), 2.0))
    assert (report.answers, report.answers_per_s, report.errors) == (101, 50.5, {"ServerFault": 3})
    assert (report.times["rtt"].p50_ms, report.times["rtt"].p99_ms, report.times["rtt"].max_ms) == (51, 100, 101)
    assert report.times["network"].p50_ms == pytest.approx(51 * 0.4)
    assert report.batches == {1: 50, 2: 51}
    assert Report.of("x", Load(1)).times == {}
