"""Shadow revisions: they are asked what robots asked, and their answers are compared and thrown away.

A shadow gives way to everybody: its priority is the lowest, at most a few observations wait for it, one a session, and
what comes meanwhile it is not asked. It is asked once the robot has its answer, and has as much time as the robot gave.

A policy without memory is asked evenly, every so manyth observation. One that remembers has to see all of an episode,
so it is asked all or nothing of it; after an observation that it missed, it is left out until the next episode.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field, replace

from policy_server.revisions.distances import distances
from policy_server.seam import Answer, Priority, Request
from policy_server.served import ServedRevision

MAX_WAITING = 4
"""Observations that wait for shadows at most, of all sessions together."""


@dataclass(eq=False)
class ShadowEpisode:
    """What is kept for shadows of one session's episode."""

    revision: str
    """The shadow when the episode began; "" for none."""
    draw: float
    """In [0, 1): whether it is asked at all, if it is one that remembers."""
    memory: object | None = None
    is_asked: bool = False
    has_missed: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)


class Shadows:
    """Asks shadows. Thread-safe, and returns at once."""

    def __init__(self) -> None:
        self._slots = threading.Semaphore(MAX_WAITING)
        self._lock = threading.Lock()
        self._seen: dict[str, int] = {}

    def offer(
        self,
        shadow: ServedRevision,
        fraction: float,
        episode: ShadowEpisode,
        request: Request,
        given: Answer,
        on_distance: Callable[[float], None],
    ) -> bool:
        """Ask the shadow what a robot asked, if it is its turn and it has time; whether it was asked.

        Args:
            shadow: who is asked.
            fraction: share of the observations, 0..1.
            episode: the session's.
            request: what the robot asked.
            given: what it was answered.
            on_distance: called on the shadow's thread with the mean difference of the two answers, as a share of each
                action's range.
        """
        with episode.lock:
            if not self._turn(shadow, fraction, episode):
                return False
            if episode.is_asked or not self._slots.acquire(blocking=False):
                episode.has_missed = True
                return False
            episode.is_asked = True
            copy = _copy(request, shadow, given, episode.memory)

        def done(answer: Future[Answer]) -> None:
            self._slots.release()
            found = None if answer.exception() is not None else answer.result()
            with episode.lock:
                episode.is_asked = False
                episode.has_missed = episode.has_missed or found is None
                episode.memory = found.memory if found is not None else None
            if found is not None:
                on_distance(float(distances(shadow.spec, found.actions, given.actions).mean()))

        copy.answer.add_done_callback(done)
        shadow.submit(copy)
        return True

    def _turn(self, shadow: ServedRevision, fraction: float, episode: ShadowEpisode) -> bool:
        if shadow.is_recurrent:
            return episode.revision == shadow.revision and episode.draw < fraction and not episode.has_missed
        with self._lock:
            seen = self._seen[shadow.revision] = self._seen.get(shadow.revision, 0) + 1
        return math.floor(seen * fraction) > math.floor((seen - 1) * fraction)


def _copy(request: Request, shadow: ServedRevision, given: Answer, memory: object | None) -> Request:
    took_ns = given.queue_ns + given.preprocess_ns + given.infer_ns + given.postprocess_ns
    fits = request.committed is not None and request.committed.delay_steps <= shadow.prefix_steps
    return replace(
        request,
        committed=request.committed if fits else None,
        memory=memory,
        priority=Priority.SHADOW,
        arrived_ns=request.arrived_ns + took_ns,
        deadline_ns=request.deadline_ns + took_ns,
        wanted=lambda: True,
        answer=Future(),
        queued_ns=0,
    )
