"""One worker process: its own worlds, its own copy of the policy, one thread.

Messages are tuples of plain values and numpy arrays over a pipe. Because each worker holds all weights, an episode may
end early without anyone waiting for it. It goes home as soon as it is finished, so that what a worker has done outlives
the worker.

The pool may say "ask", and then, when the answer "ready" is there, "weights", "play" or "stop". The worker says "ready"
of itself when its worlds are built; while it plays a "beat" after every reset and every chunk; in the end "done" or
"failed".
"""

from __future__ import annotations

import json
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from sim_train.policies.blueprint import from_blueprint
from sim_train.policies.kinds import StoredPolicy
from sim_train.rollouts.environment import Environment, MakeEnvironment
from sim_train.rollouts.episodes import EnvironmentFaultError, Job, Start, assemble, play
from sim_train.rollouts.players import ExpertPlayer, Player, PolicyPlayer


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
class Request:
    """One share of a call to the pool."""

    starts: tuple[Start, ...]
    task: Task
    seed: int


class Report(NamedTuple):
    """What comes with a beat; see `episodes.Beat`."""

    kind: str
    faults: int
    keys: list[tuple[int, int]]
    """Group and member of each finished episode."""
    arrays: dict[str, NDArray[np.generic]] | None
    """`Trajectories.arrays` of the finished episodes; None if there is none."""


@dataclass(frozen=True, eq=False)
class Weights:
    """A policy as workers receive it."""

    blueprint: str
    """JSON of `to_blueprint`."""
    arrays: dict[str, NDArray[np.generic]]
    version: int


def weights_of(policy: StoredPolicy, blueprint: str, version: int) -> Weights:
    """A copy of the policy's present weights."""
    arrays = {name: value.detach().numpy().copy() for name, value in policy.state_dict().items()}
    return Weights(blueprint, arrays, version)


def serve(connection: Connection, make_environment: MakeEnvironment, num_envs: int) -> None:
    """Answer requests until told to stop or until the other end is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the trainer decides what it means
    torch.set_num_threads(1)
    env = make_environment(num_envs)
    policy: StoredPolicy | None = None
    weights: Weights | None = None
    connection.send(("ready", None))
    try:
        while True:
            kind, content = connection.recv()
            if kind == "stop":
                return
            if kind == "ask":
                connection.send(("ready", None))
            elif kind == "weights":
                policy = _load(content, policy, weights)
                weights = content
            else:
                connection.send(_answer(env, policy, weights, content, connection))
    except (EOFError, ConnectionError):  # the pool is gone
        return
    finally:
        env.close()


def _load(weights: Weights, policy: StoredPolicy | None, known: Weights | None) -> StoredPolicy:
    if policy is None or known is None or known.blueprint != weights.blueprint:
        policy = from_blueprint(json.loads(weights.blueprint)).eval()
    policy.load_state_dict({name: torch.from_numpy(array) for name, array in weights.arrays.items()})
    return policy


def _answer(
    env: Environment,
    policy: StoredPolicy | None,
    weights: Weights | None,
    request: Request,
    connection: Connection,
) -> tuple[str, Any]:
    player: Player
    if isinstance(request.task, ExpertTask):
        player = ExpertPlayer(env, np.array(request.task.noise))
    elif policy is None:
        return "failed", "the worker was asked to play before it received a policy"
    else:
        player = PolicyPlayer(policy, request.task.temperature)
    version = weights.version if weights else 0
    try:
        for beat in play(env, player, request.starts, request.seed):
            keys = [(episode.start.group, episode.start.member) for episode in beat.finished]
            arrays = assemble(beat.finished, version).arrays() if beat.finished else None
            connection.send(("beat", Report(beat.kind, beat.faults, keys, arrays)))
    except EnvironmentFaultError as error:
        return "failed", str(error)
    return "done", None


def split(jobs: Sequence[Job], shares: int) -> list[tuple[Job, ...]]:
    """Deal jobs to workers like cards, so that each gets about the same amount of every kind."""
    return [tuple(jobs[i::shares]) for i in range(shares)]
