"""One episode on its way to disk: a bounded queue and the thread that writes.

`put` never blocks. A full queue drops the message and counts it; a disk that refuses ends the episode
as truncated. The episode's facts are written last, then its folder gets its final name.
"""

import contextlib
import dataclasses
import queue
import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from node_runtime.payloads import EpisodeState

from episode_recorder.bag_writer import BagWriter
from episode_recorder.episode_folder import EpisodeFolder

QUEUE_MESSAGES = 5000
"""About 8 s of two cameras and a 200 Hz arm."""

FLUSH_PERIOD_S = 0.1
"""A killed recorder loses at most this much."""


@dataclass(frozen=True)
class Ending:
    """How the episode ended: the last word on it, and what `/policy_runner/status` said of the contract.

    `cut_short` says why the recording is not whole; empty when it is.
    """

    episode: EpisodeState
    contract: dict[str, Any] | None
    cut_short: str = ""


@dataclass(frozen=True)
class Result:
    """What became of it: the final folder and, when it is truncated, why."""

    path: Path
    error: str


class Recording:
    """An open episode. Raises OSError or ValueError when it can't be opened."""

    def __init__(self, output_dir: Path, episode: EpisodeState, topics: Iterable[str]) -> None:
        self.episode = episode
        self.counts: Counter[str] = Counter(dict.fromkeys(topics, 0))
        self.dropped: Counter[str] = Counter()
        self.result: Result | None = None
        self._folder = EpisodeFolder(output_dir, episode.id)
        self._folder.make_room()
        self._bag = BagWriter(self._folder.partial, episode.id)
        self._queue: queue.Queue[tuple[str, str, int, bytes]] = queue.Queue(QUEUE_MESSAGES)
        self._ending: Ending | None = None
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="bag-writer", daemon=True)
        self._thread.start()

    @property
    def path(self) -> Path:
        """Where the episode is now."""
        return self.result.path if self.result else self._folder.partial

    def put(self, topic: str, msgtype: str, log_ns: int, cdr: bytes) -> None:
        """Hand over one raw message; ignored once the episode has ended."""
        if self._end.is_set() or self.result is not None:
            return
        try:
            self._queue.put_nowait((topic, msgtype, log_ns, cdr))
        except queue.Full:
            self.dropped[topic] += 1

    def end(self, ending: Ending) -> None:
        """Take no more messages, write what is queued, close. `result` is set when that is done."""
        if not self._end.is_set():
            self._ending = ending
            self._end.set()

    def wait(self, timeout_s: float) -> None:
        """Wait for the writer to finish."""
        self._thread.join(timeout_s)

    def _run(self) -> None:
        error = ""
        try:
            while not self._write_queued():
                self._end.wait(FLUSH_PERIOD_S)
            self._bag.close()
        except OSError as failure:
            error = f"writing {self._bag.file} failed: {failure}"
            with contextlib.suppress(OSError):  # the disk may be gone altogether
                self._bag.abandon()
        self.result = self._seal(error)

    def _write_queued(self) -> bool:
        """Write what is queued now; True once the episode has ended and everything is written."""
        ended = self._end.is_set()
        for _ in range(self._queue.qsize()):
            topic, msgtype, log_ns, cdr = self._queue.get_nowait()
            self._bag.write(topic, msgtype, log_ns, cdr)
            self.counts[topic] += 1
        self._bag.flush()
        return ended

    def _seal(self, error: str) -> Result:
        ending = self._ending or Ending(self.episode, None)
        error = error or ending.cut_short
        facts = {
            **dataclasses.asdict(ending.episode),
            "truncated": bool(error),
            "error": error,
            "counts": dict(self.counts),
            "dropped": dict(self.dropped),
            "contract": ending.contract,
        }
        try:
            return Result(self._folder.seal(facts, whole=not error), error)
        except OSError as failure:
            return Result(self._folder.partial, f"{error}; closing the episode failed: {failure}".lstrip("; "))
