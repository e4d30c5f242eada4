"""Commands as processes: their settings, their log, their end, and how busy they are."""

import os
import time
from pathlib import Path

import pytest

from benchmarks.rl.commands import CommandError, override, run_module, tail
from benchmarks.rl.usage import BusyWatch

FAILING = "import sys; print('before'); sys.exit('no such task')"
TALKING = "import sys; print(sys.argv[1:])"
SAVING = """
import signal, sys, time
def save(number, frame):
    open(sys.argv[1].split("=")[1], "a").write("saved ")
    time.sleep(0.3)  # a second signal in this time would be counted
    sys.exit(130)
signal.signal(signal.SIGINT, save)
print("ready", flush=True)
time.sleep(60)
"""
WORKING = """
import sys, time
share, path = float(sys.argv[1].split("=")[1]), sys.argv[2].split("=")[1]
for update in range(3):
    end = time.monotonic() + 0.8
    while time.monotonic() < end:
        if share == 0: time.sleep(0.05)
    open(path, "a").write("{}\\n")
time.sleep(0.6)
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Makes a module that a new Python finds, and returns its name."""
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")

    def make(source):
        (tmp_path / "commanded.py").write_text(source)
        return "commanded"

    return make


def test_settings_are_written_as_hydra_reads_them():
    assert [override("a.b", value) for value in (1e-4, True, "pick_cube", ["sft", "rl"], None)] == [
        "a.b=0.0001",
        "a.b=true",
        "a.b=pick_cube",
        'a.b=["sft", "rl"]',
        "a.b=null",
    ]


def test_what_a_command_says_is_in_the_log(module, tmp_path):
    log = tmp_path / "logs" / "log.txt"
    run_module(module(TALKING), {"seed": 1}, log)
    run_module(module(TALKING), {"seed": 2}, log)
    assert tail(log, 1) == "['seed=2']"
    assert "['seed=1']" in tail(log)
    assert tail(tmp_path / "none.txt") == ""


def test_a_command_that_fails_is_quoted(module, tmp_path):
    with pytest.raises(CommandError, match=r"(?s)commanded exited with status 1; .*before.*no such task"):
        run_module(module(FAILING), {}, tmp_path / "log.txt")


def test_ctrl_c_asks_the_command_once_and_waits_until_it_has_saved(module, tmp_path):
    saved, log = tmp_path / "saved", tmp_path / "log.txt"
    seen = []

    def watch(process_id):
        seen.append(process_id)
        if "ready" in tail(log).splitlines():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_module(module(SAVING), {"to": str(saved)}, log, watch)
    assert saved.read_text() == "saved "
    assert not Path(f"/proc/{seen[0]}").exists()


def test_a_command_that_does_not_save_in_time_is_ended(module, tmp_path, monkeypatch):
    monkeypatch.setattr("benchmarks.rl.commands.SAVING_S", 0.3)
    deaf = (
        "import signal, time\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nprint('ready', flush=True)\ntime.sleep(60)"
    )
    log, seen = tmp_path / "log.txt", []

    def watch(process_id):
        seen.append(process_id)
        if "ready" in tail(log).splitlines():
            raise KeyboardInterrupt

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run_module(module(deaf), {}, log, watch)
    assert time.monotonic() - began < 30
    assert not Path(f"/proc/{seen[0]}").exists()


def test_a_busy_command_is_told_from_an_idle_one(module, tmp_path):
    shares = {}
    for share in (0, 1):
        metrics = tmp_path / f"metrics{share}.jsonl"
        watch = BusyWatch(metrics, cores=1)
        run_module(module(WORKING), {"share": share, "to": str(metrics)}, tmp_path / "log.txt", watch.look)
        shares[share] = watch.share()
    assert shares[0] < 0.1
    assert 3 * max(shares[0], 0.05) < shares[1] < 1.3


def test_nothing_is_said_of_a_run_without_two_updates(tmp_path):
    watch = BusyWatch(tmp_path / "metrics.jsonl", cores=2)
    watch.look(os.getpid())
    (tmp_path / "metrics.jsonl").write_text("{}\n")
    watch.look(os.getpid())
    assert watch.share() is None
