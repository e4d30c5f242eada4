"""Questions to the person at the terminal that a stop can interrupt; `input` can't be."""

import os
import select
import sys
import threading

from policy_bridge.episode_protocol import StoppedError

POLL_S = 0.1


class Terminal:
    """Asks on standard output, reads standard input, and raises StoppedError once `stop` is set."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._typed = b""

    def ask(self, question: str) -> str:
        """Return the line typed, without its end. EOFError if standard input is closed."""
        print(question, end="", flush=True)
        while b"\n" not in self._typed:
            if self._stop.is_set():
                raise StoppedError("stopped on request")
            if select.select([sys.stdin], [], [], POLL_S)[0]:
                data = os.read(sys.stdin.fileno(), 4096)
                if not data:
                    raise EOFError
                self._typed += data
        line, _, self._typed = self._typed.partition(b"\n")
        return line.decode(errors="replace").strip()
