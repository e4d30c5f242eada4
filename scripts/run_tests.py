"""Run the tests in two processes at the same time: those of training, and all others.

    python scripts/run_tests.py -m "not slow" [ANYTHING THAT PYTEST TAKES]

Robot nodes and buses of the tests find each other on the loopback, so they all stay in one process after the other;
training needs neither, and steps back for them. Tests that fail beside the others get one more run with the machine to
themselves, because some of them hold real-time bounds; what failed first is said either way. With paths among the
arguments it is a plain pytest.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parents[1]
TRAINING = ("tests/sim_train", "tests/benchmarks")
NO_TESTS = 5
"""Exit code of pytest that has found nothing to run."""
FAILED = 1
"""Exit code of pytest when tests failed, and nothing worse."""
MOST_AGAIN = 10
"""Failed tests that are worth a second run; more of them are no matter of a busy machine."""
NICENESS = {"training": 5, "robot": 0}
SUMMARY = re.compile(r"(FAILED|ERROR) \S")
"""A line of pytest's short summary; records of a log have more spaces."""
PRINTING = threading.Lock()


def groups(arguments: Sequence[str]) -> dict[str, list[str]]:
    """Arguments of each pytest, by a name to print before its lines."""
    others = [f"--ignore={folder}" for folder in TRAINING]
    return {"training": [*arguments, *TRAINING], "robot": [*arguments, *others, "tests"]}


def names_paths(arguments: Sequence[str]) -> bool:
    """Whether somebody wants certain tests only."""
    return any((ROOT / argument.split("::")[0]).exists() for argument in arguments if not argument.startswith("-"))


def status(codes: Sequence[int]) -> int:
    """One exit status for several of pytest: the worst; a process without tests counts only if all are."""
    told = [code for code in codes if code != NO_TESTS]
    return max((abs(code) for code in told), default=NO_TESTS)


class Group:
    """One pytest, its lines printed as they come, and the names of its failed tests kept."""

    def __init__(self, name: str, arguments: Sequence[str], cache: Path) -> None:
        self.name = name
        self.failed: list[str] = []
        shutil.rmtree(cache, ignore_errors=True)
        self._command = [sys.executable, "-m", "pytest", *arguments, "-o", f"cache_dir={cache}"]
        self._reading: threading.Thread | None = None
        self._process: subprocess.Popen[str] | None = None

    def start(self, *more: str, niceness: int = 0) -> None:
        """Start pytest, with more arguments than those of the group."""
        self.failed = []
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        command = ["nice", "-n", str(niceness), *self._command, *more]
        self._process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert self._process.stdout is not None
        self._reading = threading.Thread(target=self._read, args=(self._process.stdout,))
        self._reading.start()

    def wait(self) -> int:
        """Exit code of pytest, after its last line."""
        assert self._process is not None and self._reading is not None
        code = self._process.wait()
        self._reading.join()
        return code

    def _read(self, lines: IO[str]) -> None:
        for line in lines:
            if SUMMARY.match(line):
                self.failed.append(line.strip())
            with PRINTING:
                print(f"{self.name:8} | {line}", end="", flush=True)


def again(group: Group) -> tuple[int, list[str]]:
    """Run the failed tests of a group once more, if there are few: the exit code, and what to say of them."""
    notes = [f"failed: {line}" for line in group.failed]
    if not 0 < len(group.failed) <= MOST_AGAIN:
        return FAILED, notes
    group.start("--last-failed", "--last-failed-no-failures", "none")
    code = group.wait()
    return code, [*notes, *(f"failed alone, too: {line}" for line in group.failed)]


def main(arguments: Sequence[str]) -> int:
    """Run them, and return the exit status."""
    if names_paths(arguments):
        return subprocess.run([sys.executable, "-m", "pytest", *arguments], cwd=ROOT, check=False).returncode
    running = [Group(name, given, ROOT / ".pytest_cache" / name) for name, given in groups(arguments).items()]
    for group in running:
        group.start(niceness=NICENESS[group.name])
    try:
        codes = [group.wait() for group in running]
    except KeyboardInterrupt:  # pytest has it, too, and says where it was
        return status([group.wait() for group in running])
    notes = []
    for place, group in enumerate(running):
        if codes[place] == FAILED:
            codes[place], said = again(group)
            notes += [f"{group.name:8} | {line}" for line in said]
        notes.append(f"{group.name:8} | exit status {codes[place]}")
    print(*notes, sep="\n")
    return status(codes)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
