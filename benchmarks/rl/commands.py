"""The project's commands as processes: their output in a log, stopped cleanly, watched while they run."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

POLL_S = 0.5
SAVING_S = 180.0
"""Time for a command to save its work after it was told to stop; then it is ended."""
_TAIL = 12


class CommandError(RuntimeError):
    """A command ended badly; the text ends with what it said last."""


def override(name: str, value: Any) -> str:  # noqa: ANN401 - a plain value of YAML
    """`name=value` as Hydra reads it."""
    return f"{name}={value if isinstance(value, str) else json.dumps(value)}"


def run_module(
    module: str, settings: Mapping[str, Any], log: Path, watch: Callable[[int], None] = lambda process_id: None
) -> None:
    """Run `python -m module name=value ...` to its end.

    Ctrl-C reaches this process alone, which then asks the command to stop, once, and waits until it has saved.

    Args:
        module: of a command that takes Hydra's settings.
        settings: what it is told.
        log: file that its output is added to.
        watch: called with its process id every half second.

    Raises:
        CommandError: it exited with another status than 0.
        KeyboardInterrupt: as it came, after the command has ended.
    """
    command = [sys.executable, "-m", module, *(override(name, value) for name, value in settings.items())]
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a", encoding="utf-8") as file:
        file.write(f"$ {' '.join(command)}\n")
        file.flush()
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            while process.poll() is None:
                watch(process.pid)
                try:
                    process.wait(POLL_S)
                except subprocess.TimeoutExpired:
                    continue
        except KeyboardInterrupt:
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(SAVING_S)
            raise
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    if process.returncode:
        raise CommandError(f"{module} exited with status {process.returncode}; {log} ends:\n{tail(log)}")


def tail(log: Path, lines: int = _TAIL) -> str:
    """The last lines of a log; empty if there is none."""
    if not log.is_file():
        return ""
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
