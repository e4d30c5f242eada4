"""Bus lock: one holder a channel, in words who it is, free again after release or death."""

import os
import subprocess
import sys

import pytest
from piper_driver.bus_lock import BusInUseError, BusLock

NAME = f"test channel/{os.getpid()}"


def test_the_second_is_refused_and_told_who_has_it():
    lock = BusLock(NAME)
    try:
        with pytest.raises(BusInUseError, match=f"already driven by process {os.getpid()}"):
            BusLock(NAME)
        other = BusLock(NAME + " other")
        other.release()
    finally:
        lock.release()
    BusLock(NAME).release()


def test_a_dead_process_leaves_no_lock():
    code = f"from piper_driver.bus_lock import BusLock; import os; lock = BusLock({NAME!r}); os.kill(os.getpid(), 9)"
    assert subprocess.run([sys.executable, "-c", code], timeout=20).returncode == -9
    BusLock(NAME).release()
