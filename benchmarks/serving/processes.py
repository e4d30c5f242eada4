"""Servers and clients as processes that talk in lines."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

HERE = Path(__file__).parent
_END_S = 10.0


class Process:
    """A process that says a first line when it is ready, and ends when its standard input is closed.

    Raises RuntimeError if it ends before it says anything.
    """

    def __init__(self, command: Sequence[str], folder: Path | None = None) -> None:
        """`folder`: where it runs, and may leave files; None: here."""
        self._process = subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.first_line = self._line()

    def ask(self, requests: int) -> None:
        """Let a client make so many requests; `answer` gives what they took."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{requests}\n")
        self._process.stdin.flush()

    def answer(self) -> list[float]:
        """Microseconds of each request."""
        took: list[float] = json.loads(self._line())
        return took

    def __enter__(self) -> Process:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        if not line:
            raise RuntimeError(f"{' '.join(map(str, self._process.args))} ended; its errors stand above")  # type: ignore[arg-type]
        return line


def server(kind: str, tls: Path | None = None) -> Process:
    """One of `benchmarks.serving.servers`; its first line is the address."""
    extra = [] if tls is None else ["--tls", str(tls)]
    return Process([sys.executable, "-m", "benchmarks.serving.servers", kind, *extra])


def client(kind: str, address: str, tls: Path | None = None, robots: int = 1, every_s: float = 0.0) -> Process:
    """One of `benchmarks.serving.clients`."""
    options = ["--robots", str(robots), "--every-s", str(every_s), *([] if tls is None else ["--tls", str(tls)])]
    return Process([sys.executable, "-m", "benchmarks.serving.clients", kind, address, *options])


def lerobot_server(python: Path) -> Process:
    """LeRobot's server; its first line is the address."""
    return Process([str(python), str(HERE / "lerobot" / "robot_server.py")], python.parent)


def lerobot_client(python: Path, address: str) -> Process:
    """A robot of LeRobot's server."""
    return Process([str(python), str(HERE / "lerobot" / "robot_client.py"), address], python.parent)
