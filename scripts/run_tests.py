"""Run the tests in two processes at the same time: those of training, and all others.

    python scripts/run_tests.py -m "not slow" [ANYTHING THAT PYTEST TAKES]

Robot nodes and buses of the tests find each other on the loopback, so they all stay in one process after the other;
training needs neither. With paths among the arguments it is a plain pytest.
"""

from __future__ import annotations

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


def main(arguments: Sequence[str]) -> int:
    """Run them, print their lines as they come, and return the exit status."""
    pytest = [sys.executable, "-m", "pytest"]
    if names_paths(arguments):
        return subprocess.run([*pytest, *arguments], cwd=ROOT, check=False).returncode
    width = max(map(len, groups(arguments)))
    printing = threading.Lock()

    def show(name: str, lines: IO[str]) -> None:
        for line in lines:
            with printing:
                print(f"{name:{width}} | {line}", end="", flush=True)

    processes = {
        name: subprocess.Popen(
            [*pytest, *given, "-p", "no:cacheprovider"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for name, given in groups(arguments).items()
    }
    threads = []
    for name, process in processes.items():
        assert process.stdout is not None
        threads.append(threading.Thread(target=show, args=(name, process.stdout)))
        threads[-1].start()
    try:
        codes = [process.wait() for process in processes.values()]
    except KeyboardInterrupt:  # pytest has it, too, and says where it was
        codes = [process.wait() for process in processes.values()]
    for thread in threads:
        thread.join()
    for name, code in zip(processes, codes, strict=True):
        print(f"{name:{width}} | exit status {code}")
    return status(codes)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
