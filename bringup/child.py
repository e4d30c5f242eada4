"""One running process of a launch: started, listened to, stopped in steps."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from bringup.process_spec import ProcessSpec

_PR_SET_PDEATHSIG = 1  # prctl(2): the signal that the kernel sends when the parent ends
_libc = ctypes.CDLL(None, use_errno=True)


def _end_with_parent() -> None:
    """In the child before exec: if the supervisor is killed, receive SIGINT, as in an orderly stop."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGINT)


class Child:
    """A process with its log file; `emit(name, line)` receives every whole line that it prints."""

    def __init__(self, spec: ProcessSpec, log_dir: Path, emit: Callable[[str, str], None]) -> None:
        self.spec = spec
        self.starts = 0
        self.last_lines: deque[str] = deque(maxlen=15)
        self._emit = emit
        self._log_path = log_dir / f"{spec.name}.log"
        self._popen: subprocess.Popen[bytes] | None = None
        self._partial = b""

    def start(self) -> int:
        """Start the process in a session of its own, so that Ctrl-C reaches it only through the supervisor.

        Returns the file descriptor of its output, not blocking. Raises OSError if the program cannot be started.
        """
        self._popen = subprocess.Popen(
            self.spec.command,
            env=dict(self.spec.environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_end_with_parent,  # the supervisor has one thread
        )
        self.starts += 1
        assert self._popen.stdout is not None
        descriptor = self._popen.stdout.fileno()
        os.set_blocking(descriptor, False)
        return descriptor

    @property
    def pid(self) -> int | None:
        """Process id, None before the first start."""
        return self._popen.pid if self._popen else None

    def exit_status(self) -> int | None:
        """None while it runs; its exit status, 128 + N if signal N ended it. None too before the first start."""
        code = self._popen.poll() if self._popen else None
        return 128 - code if code is not None and code < 0 else code

    def read(self) -> bool:
        """Take what the process printed since; False when its output has ended."""
        data = self._read_chunk()
        return data is None or bool(data)

    def drain(self) -> None:
        """Take the rest of the output of a process that has ended, and end whatever it left behind."""
        while self._read_chunk():
            pass
        self._take_lines([self._partial] if self._partial else [])
        self._partial = b""
        with suppress(ProcessLookupError):
            os.killpg(self._running().pid, signal.SIGTERM)

    def send(self, number: signal.Signals) -> None:
        """Send a signal; SIGKILL goes to everything that the process has started, too."""
        process = self._running()
        with suppress(ProcessLookupError):
            if number == signal.SIGKILL:
                os.killpg(process.pid, number)
            else:
                process.send_signal(number)

    def _running(self) -> subprocess.Popen[bytes]:
        if self._popen is None:
            raise RuntimeError(f"{self.spec.name} was never started")
        return self._popen

    def _read_chunk(self) -> bytes | None:
        """Bytes of output, empty at its end, None if there are none at the moment."""
        stdout = self._running().stdout
        assert stdout is not None
        try:
            data = os.read(stdout.fileno(), 65536)
        except BlockingIOError:
            return None
        *lines, self._partial = (self._partial + data).split(b"\n")
        self._take_lines(lines)
        return data

    def _take_lines(self, lines: list[bytes]) -> None:
        texts = [line.decode("utf-8", "replace").rstrip("\r") for line in lines]
        if not texts:
            return
        with self._log_path.open("a", encoding="utf-8") as log:
            log.writelines(text + "\n" for text in texts)
        self.last_lines.extend(texts)
        if self.spec.on_console:
            for text in texts:
                self._emit(self.spec.name, text)
