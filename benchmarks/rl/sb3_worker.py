"""One process of worlds for stable-baselines3. It imports no learner, so that it starts quickly."""

from __future__ import annotations

import itertools
import signal
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim_train.rollouts.environment import Environment, MakeEnvironment, Observations


def serve(connection: Connection, make: MakeEnvironment, num_envs: int, seeds: tuple[int, int]) -> None:
    """Answer requests until the other end is gone.

    It says its contract and its longest episode first. Then "reset" (seeds, or None for training seeds) answers
    observations, and "play" (chunks (n, H, A), whether to begin new episodes) what came of them.

    Args:
        connection: to the learner.
        make: makes the worlds.
        num_envs: how many.
        seeds: first of its training seeds, and their distance.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    env: Environment = make(num_envs)
    fresh = itertools.count(*seeds)
    rows = list(range(num_envs))
    connection.send((env.spec, env.max_chunks))
    try:
        while True:
            kind, content = connection.recv()
            if kind == "reset":
                chosen = content or list(itertools.islice(fresh, num_envs))
                connection.send(_plain(env.reset(chosen, rows)))
                continue
            chunks, renew = content
            result = env.step(chunks, rows)
            last = _plain(result.observations)
            told = {"success": result.success, "done": result.done, "fault": result.fault, "seen": last, "last": last}
            over = np.flatnonzero(result.done | result.fault)
            if renew and len(over):
                begun = _plain(env.reset(list(itertools.islice(fresh, len(over))), over.tolist()))
                told["seen"] = _replaced(last, over, begun)
            connection.send(told)
    except (EOFError, ConnectionError):  # the learner is gone
        return
    finally:
        env.close()


def _plain(seen: Observations) -> dict[str, Any]:
    images = {f"image_{name}": np.moveaxis(values, -1, 1) for name, values in seen.images.items()}
    return {"state": seen.state, **images, "instructions": seen.instructions}


def _replaced(old: dict[str, Any], rows: NDArray[np.int64], new: dict[str, Any]) -> dict[str, Any]:
    """`old` with the given rows taken from `new`."""
    result: dict[str, Any] = {}
    for name, values in old.items():
        if name == "instructions":
            result[name] = list(values)
            for row, text in zip(rows, new[name], strict=True):
                result[name][row] = text
        else:
            result[name] = values.copy()
            result[name][rows] = new[name]
    return result
