"""Loads in the background, one at a time, followed by whoever wants to know.

A load belongs to the server, not to the call that asked for it: if the caller goes away, it goes on to its end. That
harms nobody, since a revision that was loaded answers no episode until traffic says so, and asking again for the same
checkpoint follows the load that is under way, or finds the revision in memory.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from policy_api.errors import PolicyApiError

from policy_server.revisions.errors import LoadInProgress
from policy_server.revisions.progress import Progress

if TYPE_CHECKING:
    from policy_server.revisions.loading import Loader

log = logging.getLogger(__name__)

_LOOK_S = 0.25
"""How often a follower whose load says nothing looks whether it is still wanted."""


class LoadJob:
    """One load: what it has reported so far, and how it ended."""

    def __init__(self, checkpoint: str, revision: str) -> None:
        self.checkpoint = checkpoint
        self.revision = revision
        self._steps: list[Progress] = []
        self._ended = False
        self._error: PolicyApiError | None = None
        self._changed = threading.Condition()

    @property
    def ended(self) -> bool:
        """Whether it is over, well or not."""
        return self._ended

    @property
    def latest(self) -> str:
        """Where it is, for people."""
        return self._steps[-1].phase.value if self._steps else "beginning"

    def report(self, step: Progress) -> None:
        """It has come so far."""
        with self._changed:
            self._steps.append(step)
            self._changed.notify_all()

    def end(self, error: PolicyApiError | None) -> None:
        """It is over."""
        with self._changed:
            self._error, self._ended = error, True
            self._changed.notify_all()

    def follow(self, wanted: Callable[[], bool]) -> Iterator[Progress]:
        """Everything that it reports, from its beginning; raises what ended it. Stops when it is no longer `wanted`."""
        seen = 0
        while wanted():
            with self._changed:
                if seen == len(self._steps) and not self._ended:
                    self._changed.wait(_LOOK_S)
                fresh, ended = self._steps[seen:], self._ended
            yield from fresh
            seen += len(fresh)
            if ended:
                if self._error is not None:
                    raise self._error
                return


class LoadJobs:
    """Starts loads. Thread-safe."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader
        self._lock = threading.Lock()
        self._current: LoadJob | None = None

    def start(self, checkpoint: str, revision: str) -> LoadJob:
        """Begin a load, or find the one of the same checkpoint that is under way.

        LoadInProgress: another checkpoint is being loaded.
        """
        with self._lock:
            current = self._current
            if current is not None and not current.ended:
                if (current.checkpoint, current.revision) == (checkpoint, revision):
                    return current
                raise LoadInProgress(
                    f"the server is loading {current.checkpoint[:200]!r} ({current.latest}) and loads one at a time; "
                    "ask again when it is done"
                )
            job = self._current = LoadJob(checkpoint, revision)
        threading.Thread(target=self._run, args=(job,), name="load", daemon=True).start()
        return job

    def _run(self, job: LoadJob) -> None:
        try:
            self._loader.load(job.checkpoint, job.revision, job.report)
        except PolicyApiError as error:
            log.warning("loading %r ended: %s", job.checkpoint[:200], error)
            job.end(_bare(error))
        else:
            job.end(None)


def _bare(error: PolicyApiError) -> PolicyApiError:
    """The error without its traceback, whose frames would keep the policy that was not admitted in memory."""
    return type(error)(str(error))
