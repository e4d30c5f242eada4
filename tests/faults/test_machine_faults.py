"""A clock that jumps, a disk that is full, cores that are busy."""

import errno
import subprocess
import sys

import psutil
import pytest

from benchmarks.faults.attempt import SkipRowError
from benchmarks.faults.machine_faults import FakeClock, busy_cores, small_disk

TELL = """
import sys, time
for _ in sys.stdin:
    print(time.time(), time.monotonic(), flush=True)
"""


def test_the_wall_clock_jumps_and_the_monotonic_one_does_not(tmp_path):
    try:
        clock = FakeClock(tmp_path)
    except SkipRowError as why:
        pytest.skip(str(why))
    with subprocess.Popen(
        [sys.executable, "-c", TELL], env=clock.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:

        def ask():
            process.stdin.write("\n")
            process.stdin.flush()
            return [float(word) for word in process.stdout.readline().split()]

        before = ask()
        clock.jump(3600)
        after = ask()
        process.stdin.close()
    assert 3590 < after[0] - before[0] < 3700 and 0 <= after[1] - before[1] < 60


def test_without_libfaketime_it_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.delenv("LIBFAKETIME", raising=False)
    monkeypatch.setattr("benchmarks.faults.machine_faults._FAKETIME", ())
    with pytest.raises(SkipRowError, match="apt-get install libfaketime"):
        FakeClock(tmp_path)


def test_a_small_disk_is_full_soon_and_gone_afterwards(tmp_path):
    try:
        with small_disk(tmp_path / "disk", 256) as disk, pytest.raises(OSError) as full:
            (disk / "file").write_bytes(bytes(1024 * 1024))
    except SkipRowError as why:
        pytest.skip(str(why))
    assert full.value.errno == errno.ENOSPC
    assert list((tmp_path / "disk").iterdir()) == []


def test_busy_cores_are_bounded_and_end():
    before = set(psutil.Process().children())  # of other tests
    with busy_cores(2, most_s=30.0):
        busy = set(psutil.Process().children()) - before
        assert len(busy) == 2
    assert not any(p.is_running() for p in busy)
    for count, seconds in ((0, 1.0), (100, 1.0), (1, 1000.0)):
        with pytest.raises(ValueError, match="expected 1 to 64"), busy_cores(count, seconds):
            pass
