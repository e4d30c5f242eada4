"""How a node's process starts and ends."""

import signal
import subprocess
import sys
import textwrap
import time

import pytest

PROGRAM = textwrap.dedent(
    """
    import sys, time
    from node_runtime.main import ManagedNode, SetupError, run_node
    from std_srvs.srv import Trigger

    class Chatty(ManagedNode):
        def __init__(self):
            super().__init__("chatty")
            mode = self.declare_parameter("mode", "").value
            if mode == "refuse":
                raise SetupError("mode refuse is refused")
            if mode == "work":
                self.create_timer(0.1, lambda: setattr(self, "exit_code", 3))
            if mode == "crash":
                self.create_timer(0.1, lambda: 1 / 0)
            self.create_timer(0.001, lambda: None)
            print("up", flush=True)

        def close(self):
            print("closed", flush=True)

    sys.exit(run_node(Chatty))
    """
)


def start(ros, mode):
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "--ros-args", "-p", f"mode:={mode}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ros.env,
    )


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_it_cleanly_within_a_second(ros, signum):
    process = start(ros, "idle")
    assert process.stdout.readline() == "up\n"
    time.sleep(0.2)
    began = time.monotonic()
    process.send_signal(signum)
    output, errors = process.communicate(timeout=5)
    assert (process.returncode, output, errors) == (0, "closed\n", "")
    assert time.monotonic() - began < 1.0


def test_node_ends_itself_with_its_code(ros):
    process = start(ros, "work")
    assert process.communicate(timeout=10)[0] == "up\nclosed\n"
    assert process.returncode == 3


def test_refused_setup_says_why(ros):
    process = start(ros, "refuse")
    _, errors = process.communicate(timeout=10)
    assert (process.returncode, errors) == (2, "cannot start: mode refuse is refused\n")


def test_wrong_parameter_type_says_which(ros):
    process = start(ros, "7")
    _, errors = process.communicate(timeout=10)
    assert process.returncode == 2
    assert "mode" in errors


def test_exception_in_a_callback_ends_the_process(ros):
    process = start(ros, "crash")
    output, errors = process.communicate(timeout=10)
    assert process.returncode == 1
    assert "ZeroDivisionError" in errors
    assert "closed" in output


def test_the_process_ends_with_its_status_and_all_its_output():
    code = "from node_runtime.main import end_process; print('last words'); end_process(3)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert ended.returncode == 3
    assert ended.stdout == "last words\n"
