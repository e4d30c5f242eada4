"""One worker process: its own worlds, one thread, and its own copy of the policy or a line to somebody who has it.

Messages are tuples of plain values and numpy arrays over a pipe. Because no worker waits for another, an episode may
end early. It goes home as soon as it is finished, so that what a worker has done outlives the worker.

The pool may say "ask", and then, when the answer "ready" is there, "weights", "play" or "stop". The worker says "ready"
of itself when its worlds are built; while it plays a "beat" after every reset and every chunk; in the end "done" or
"failed".
"""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from sim_train.policies.kinds import StoredPolicy
from sim_train.rollouts.environment import Environment, MakeEnvironment
from sim_train.rollouts.episodes import EnvironmentFaultError, Job, Start, assemble, play
from sim_train.rollouts.inference import InferenceError, Line
from sim_train.rollouts.inference_server import Address, SocketLine
from sim_train.rollouts.players import ExpertPlayer, Player, PolicyPlayer, SharedPlayer
from sim_train.rollouts.timers import Spent
from sim_train.rollouts.weights import Weights, build


@dataclass(frozen=True)
class PolicyTask:
    """Play the jobs with the policy at a temperature (0: greedy)."""

    temperature: float


@dataclass(frozen=True)
class ExpertTask:
    """Play the jobs with the scripted expert."""

    noise: tuple[float, ...]
    """Standard deviation of the disturbance for each action dimension, as a share of its range."""


Task = PolicyTask | ExpertTask


@dataclass(frozen=True)
class Remote:
    """A policy that inference workers have."""

    weights: int
    """Number of the weights that are to answer."""
    version: int
    draw_size: int
    """See `Policy`."""


@dataclass(frozen=True)
class Request:
    """One share of a call."""

    starts: tuple[Start, ...]
    task: Task
    seed: int
    remote: Remote | None = None
    """Who has the policy; None: the worker itself."""


class Report(NamedTuple):
    """What comes with a beat; see `episodes.Beat`."""

    kind: str
    faults: int
    keys: list[tuple[int, int]]
    """Group and member of each finished episode."""
    arrays: dict[str, NDArray[np.generic]] | None
    """`Trajectories.arrays` of the finished episodes; None if there is none."""
    spent: Spent
    """Where the time since the beat before went."""


class Performer:
    """Plays requests in worlds of its own.

    Args:
        env: the worlds.
        line: to an inference worker; None: the policy comes as weights.
    """

    def __init__(self, env: Environment, line: Line | None) -> None:
        self.env = env
        self.line = line
        self._policy: StoredPolicy | None = None
        self._weights: Weights | None = None

    def load(self, weights: Weights) -> None:
        """Play with these from now on."""
        self._policy = build(weights, self._policy, self._weights)
        self._weights = weights

    def perform(self, request: Request) -> Iterator[tuple[str, Any]]:
        """Messages to send while the request is played: "beat" with a `Report`; in the end "done", or "failed" with the
        reason."""
        player: Player
        version, tables = self._weights.version if self._weights else 0, 1
        if isinstance(request.task, ExpertTask):
            player = ExpertPlayer(self.env, np.array(request.task.noise))
        elif self.line is not None and request.remote is not None:
            remote = request.remote
            player = SharedPlayer(self.line, remote.weights, remote.draw_size, request.task.temperature)
            version, tables = remote.version, 2
        elif self._policy is not None:
            player = PolicyPlayer(self._policy, request.task.temperature)
        else:
            yield "failed", "the worker was asked to play before it received a policy"
            return
        try:
            for beat in play(self.env, player, request.starts, request.seed, tables):
                keys = [(episode.start.group, episode.start.member) for episode in beat.finished]
                arrays = assemble(beat.finished, version).arrays() if beat.finished else None
                yield "beat", Report(beat.kind, beat.faults, keys, arrays, beat.spent)
        except (EnvironmentFaultError, InferenceError) as error:
            yield "failed", str(error)
            return
        yield "done", None


def serve(
    connection: Connection, make_environment: MakeEnvironment, num_envs: int, inference: Address | None = None
) -> None:
    """Answer requests until told to stop or until the other end is gone. `inference`: who has the policy."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the trainer decides what it means
    torch.set_num_threads(1)
    env = make_environment(num_envs)
    performer = Performer(env, SocketLine(inference) if inference else None)
    connection.send(("ready", None))
    try:
        while True:
            kind, content = connection.recv()
            if kind == "stop":
                return
            if kind == "ask":
                connection.send(("ready", None))
            elif kind == "weights":
                performer.load(content)
            else:
                for message in performer.perform(content):
                    connection.send(message)
    except (EOFError, ConnectionError):  # the pool is gone
        return
    finally:
        env.close()


def split(jobs: Sequence[Job], shares: int) -> list[tuple[Job, ...]]:
    """Deal jobs to workers like cards, so that each gets about the same amount of every kind."""
    return [tuple(jobs[i::shares]) for i in range(shares)]
