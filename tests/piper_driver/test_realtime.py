"""Real-time requests: granted, or refused in words; never silently neither."""

import subprocess
import sys

CODE = """
import os
from piper_driver.realtime import freeze_garbage, request_realtime
if {refuse}:
    def refused(*_):
        raise PermissionError(1, "Operation not permitted")
    os.sched_setscheduler = refused
texts = request_realtime()
freeze_garbage()
locked_kb = int(open("/proc/self/status").read().split("VmLck:")[1].split()[0])
print(os.sched_getscheduler(0) == os.SCHED_FIFO, locked_kb > 0, texts)
"""


def request(refuse):
    done = subprocess.run(
        [sys.executable, "-c", CODE.format(refuse=refuse)], capture_output=True, text=True, timeout=20
    )
    assert done.returncode == 0, done.stderr
    fifo, locked, texts = done.stdout.split(maxsplit=2)
    return fifo == "True", locked == "True", texts


def test_what_is_not_granted_is_said():
    fifo, locked, texts = request(refuse=False)
    assert fifo == ("no real-time priority" not in texts)
    assert locked == ("memory is not locked" not in texts)


def test_a_refused_priority_says_what_to_grant():
    fifo, _, texts = request(refuse=True)
    assert not fifo and "no real-time priority (Operation not permitted)" in texts and "rtprio 40" in texts
