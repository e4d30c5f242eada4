import os
import platform
import subprocess
import sys

import pytest
from policy_api import malloc

PROGRAM = """
import resource, sys
from policy_api.malloc import keep_large_blocks
if sys.argv[1] == "keep":
    assert keep_large_blocks()
def turn():
    for _ in range(50):
        bytes(bytearray(1_800_000))
turn()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
turn()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


WASTEFUL = {"MALLOC_MMAP_THRESHOLD_": "131072", "MALLOC_TRIM_THRESHOLD_": "131072"}


def faults(argument):
    """Page faults of a process in which, unless it is told otherwise, every large block is a mapping of its own."""
    command = [sys.executable, "-c", PROGRAM, argument]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, **WASTEFUL})
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the thresholds are glibc's")
def test_memory_of_large_blocks_is_reused():
    assert faults("leave") > 1000  # 50 times two blocks of 440 pages
    assert faults("keep") < 100


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(malloc.platform, "libc_ver", lambda: ("", ""))
    assert malloc.keep_large_blocks() is False
