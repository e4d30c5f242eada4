"""What can go wrong with the machine: clock, disk, processors. Each says why where it cannot be had."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from benchmarks.faults.attempt import SkipRowError

_FAKETIME: Final = (
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/faketime/libfaketimeMT.so.1",
)
MAX_LOAD_S: Final = 60.0
_SPIN: Final = "import sys, time\nend = time.monotonic() + float(sys.argv[1])\nwhile time.monotonic() < end: pass"


class FakeClock:
    """A wall clock that can be made to jump, for processes that are started with `env`; the monotonic one stays true.

    Raises `SkipRowError` where libfaketime is not installed, or breaks the monotonic clock; the variable LIBFAKETIME
    may name it.
    """

    def __init__(self, folder: Path) -> None:
        found = [p for p in (os.environ.get("LIBFAKETIME", ""), *_FAKETIME) if p and Path(p).exists()]
        if not found:
            raise SkipRowError("libfaketime is not installed: sudo apt-get install libfaketime")
        folder.mkdir(parents=True, exist_ok=True)
        self._file = folder / "faketime"
        self.jump(0)
        self.env = {
            "LD_PRELOAD": found[0],
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }
        probe = [sys.executable, "-c", "import time; time.sleep(0.01)"]
        if subprocess.run(probe, env=self.env, capture_output=True, check=False).returncode != 0:
            raise SkipRowError(
                f"{found[0]} breaks sleeping on the monotonic clock (0.9.10 does); a later one is needed"
            )

    def jump(self, offset_s: int) -> None:
        """The wall clock is so far ahead of the true time from now on."""
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"{offset_s:+d}\n", encoding="ascii")
        fresh.replace(self._file)


@contextmanager
def small_disk(folder: Path, size_kb: int) -> Iterator[Path]:
    """A file system of its own that is soon full, at `folder`. Raises `SkipRowError` if it may not be mounted."""
    folder.mkdir(parents=True, exist_ok=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size_kb}k", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode != 0:
        raise SkipRowError(f"a small disk needs root: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=False)


@contextmanager
def busy_cores(count: int, most_s: float = 20.0) -> Iterator[None]:
    """So many processes that do nothing but compute, at normal priority; they end by themselves after `most_s`."""
    if not 1 <= count <= 64 or not 0 < most_s <= MAX_LOAD_S:
        raise ValueError(f"{count} processes for {most_s:g} s; expected 1 to 64, and at most {MAX_LOAD_S:g} s")
    busy = [subprocess.Popen([sys.executable, "-c", _SPIN, str(most_s)]) for _ in range(count)]
    try:
        yield
    finally:
        for process in busy:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            process.wait()
