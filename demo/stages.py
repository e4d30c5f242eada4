"""Stages of the demo as processes: run one, stream what it says, fail with its name and its log."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path


class StageError(RuntimeError):
    """A stage ended badly; the text names it, says how it ended and shows the end of its log."""


def run_stage(name: str, command: Sequence[str], log: Path, env: dict[str, str] | None = None) -> float:
    """Run `command` to its end with its output on the terminal and in `log`; returns seconds.

    Raises:
        StageError: it exited with another status than 0.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    print(f"\n== {name} ==", flush=True)
    started = time.monotonic()
    with log.open("w", encoding="utf-8") as file:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, **(env or {})}
        )
        try:
            for line in process.stdout or ():
                print(line, end="", flush=True)
                file.write(line)
            status = process.wait()
        except KeyboardInterrupt:
            process.wait()  # it got the same Ctrl-C and saves its work
            raise
    if status != 0:
        tail = "\n".join(log.read_text(encoding="utf-8").splitlines()[-15:])
        raise StageError(f"stage '{name}' exited with status {status}; its log is {log} and ends:\n{tail}")
    return time.monotonic() - started


def python_module(module: str, *arguments: str) -> list[str]:
    """Command line of `python -m module arguments` with this interpreter."""
    return [sys.executable, "-m", module, *arguments]
