"""Real small processes under the real supervisor, in a process of its own."""

import os
import signal
import subprocess
import sys
import time

import pytest

# Says when it is there, and what it was told; ends in good order on SIGINT after --linger seconds.
CHILD = """
import signal, sys, time
def on_int(number, frame):
    print('told to stop at', time.monotonic(), flush=True)
    time.sleep(float(sys.argv[2]))
    print('stopped at', time.monotonic(), flush=True)
    sys.exit(0)
signal.signal(signal.SIGINT, on_int)
print(sys.argv[1], 'is up', flush=True)
time.sleep(60)
"""


class Run:
    """`python -m bringup` on a file, with what it printed so far."""

    def __init__(self, tmp_path, text):
        self.log_dir = tmp_path / "logs"
        (tmp_path / "child.py").write_text(CHILD)
        file = tmp_path / "t.launch.yaml"
        file.write_text(text)
        command = [sys.executable, "-m", "bringup", str(file), "--log-dir", str(self.log_dir)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.lines = []

    def wait_for(self, words):
        for line in self.process.stdout:
            self.lines.append(line.rstrip())
            if words in line:
                return line
        raise AssertionError(f"'{words}' was never printed in:\n" + "\n".join(self.lines))

    def finish(self):
        rest, _ = self.process.communicate(timeout=30)
        self.lines += rest.splitlines()
        return self.process.returncode

    def log(self, name):
        return (self.log_dir / f"{name}.log").read_text()


@pytest.fixture
def run(tmp_path):
    runs = []

    def start(text):
        runs.append(Run(tmp_path, "launch:\n" + text))
        return runs[-1]

    yield start
    for item in runs:
        if item.process.poll() is None:
            item.process.send_signal(signal.SIGTERM)
            item.process.communicate(timeout=30)


def child(name, linger=0.0, more=""):
    return f"- executable: {{cmd: python3 $(dirname)/child.py {name} {linger}, name: {name}, output: screen{more}}}\n"


def stamp(log, words):
    return float(next(line for line in log.splitlines() if words in line).split()[-1])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_all_in_reverse_order(run, number):
    it = run(child("driver") + child("camera", 0.3) + child("runner", 0.1))
    it.wait_for("runner is up")
    it.process.send_signal(number)
    assert it.finish() == 0
    logs = [it.log(name) for name in ("driver", "camera", "runner")]
    told = [stamp(log, "told to stop at") for log in logs]
    stopped = [stamp(log, "stopped at") for log in logs]
    assert stopped[2] < told[1] < stopped[1] < told[0] < stopped[0]
    assert any(line.startswith("[driver] driver is up") for line in it.lines)


def test_a_deaf_process_is_killed_after_its_time(run):
    deaf = "import signal,time; [signal.signal(n, 1) for n in (2, 15)]; print('deaf up', flush=True); time.sleep(60)"
    it = run(
        child("driver")
        + f'- executable:\n    cmd: python3 -c "{deaf}"\n    name: deaf\n    output: screen\n'
        + "    sigterm_timeout: 0.3\n    sigkill_timeout: 0.3\n"
    )
    it.wait_for("deaf up")
    it.process.send_signal(signal.SIGINT)
    assert it.finish() == 1
    assert any("deaf stopped, status 137" in line for line in it.lines)
    assert "stopped at" in it.log("driver")


def test_a_killed_process_respawns_after_its_delay(run):
    it = run(child("driver") + child("camera", more=', respawn: "true", respawn_delay: 0.4'))
    pid = int(it.wait_for("camera started, pid").split()[-1])
    it.wait_for("camera is up")
    killed_s = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    it.wait_for("camera ended with status 137")
    again = int(it.wait_for("camera started, pid").split()[-1])
    assert 0.4 <= time.monotonic() - killed_s < 5.0 and again != pid
    it.wait_for("camera is up")
    it.process.send_signal(signal.SIGINT)
    assert it.finish() == 0
    assert it.log("camera").count("camera is up") == 2


def test_a_bad_death_is_shown_and_makes_the_exit_status_1(run):
    boom = "import time; print('about to fail', flush=True); raise SystemExit('out of frames')"
    it = run(child("driver") + f'- executable:\n    cmd: python3 -c "{boom}"\n    name: boom\n')
    it.wait_for("boom ended with status 1")
    it.wait_for("out of frames")
    assert it.process.poll() is None, "the driver must go on holding the arm"
    it.process.send_signal(signal.SIGINT)
    assert it.finish() == 1


@pytest.mark.parametrize("status", [0, 3])
def test_the_leader_ends_everything_with_its_status(run, status):
    leader = f"import time; time.sleep(0.5); raise SystemExit({status})"
    it = run(
        child("driver") + f'- executable:\n    cmd: python3 -c "{leader}"\n    name: leader\n    on_exit: shutdown\n'
    )
    assert it.finish() == status
    assert "stopped at" in it.log("driver")


def test_ends_by_itself_when_all_have_ended_and_keeps_the_last_line(run):
    it = run("- executable: {cmd: printf 'one\\ntwo', name: short}\n")
    assert it.finish() == 0
    assert it.log("short") == "one\ntwo\n"


def test_a_program_that_is_not_there_stops_the_launch(run):
    it = run(child("driver") + "- executable: {cmd: no-such-program, name: ghost}\n")
    assert it.finish() == 1
    assert any("ghost cannot be started: No such file" in line for line in it.lines)


def test_what_a_process_leaves_behind_ends_with_it(run):
    it = run('- executable: {cmd: sh -c "sleep 55 & echo $! ; exit 0", name: parent, output: screen}\n')
    orphan = int(it.wait_for("[parent] ").split()[-1])
    assert it.finish() == 0
    deadline = time.monotonic() + 5.0
    while time.monotonic() < deadline and is_running(orphan):
        time.sleep(0.05)
    assert not is_running(orphan)


def test_children_stop_in_order_when_the_supervisor_is_killed(run):
    it = run(child("driver"))
    pid = int(it.wait_for("driver started, pid").split()[-1])
    it.wait_for("driver is up")
    it.process.kill()
    it.process.wait(timeout=10)
    deadline = time.monotonic() + 5.0
    while time.monotonic() < deadline and is_running(pid):
        time.sleep(0.05)
    assert not is_running(pid)


def test_says_what_is_wrong_with_a_file_and_exits_2(run):
    it = run("- timer: {}\n")
    assert it.finish() == 2
    assert any("t.launch.yaml:2: action 'timer' is not supported" in line for line in it.lines)


def is_running(pid):
    """Whether a process runs; a zombie that nobody waits for does not."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
