"""Play episodes in one process: every world that ends an episode takes the next one at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sim_train.rollouts.environment import Environment, Observations
from sim_train.rollouts.players import Choice, Player
from sim_train.rollouts.trajectories import Trajectories

MAX_FAULTS = 5
"""Times that one episode may end in a simulator fault before the run is refused."""


@dataclass(frozen=True)
class Job:
    """`members` episodes that start from the same point."""

    group: int
    seed: int
    members: int


class EnvironmentFaultError(RuntimeError):
    """An episode cannot be played: the simulator fails on it again and again."""


@dataclass
class _Episode:
    group: int
    member: int
    seed: int
    faults: int = 0
    instruction: str = ""
    rows: list[dict[str, NDArray[np.generic]]] = field(default_factory=list)
    success: bool = False


def play_episodes(
    env: Environment,
    player: Player,
    jobs: Sequence[Job],
    version: int,
    on_progress: Callable[[int], None] = lambda finished: None,
) -> tuple[Trajectories, int]:
    """Play all episodes of the jobs.

    Args:
        env: the worlds; all of them are kept busy while there is work.
        player: who chooses the actions.
        jobs: what to play.
        version: of the player's weights, remembered with each trajectory.
        on_progress: called after each chunk with the episodes finished so far.

    Returns:
        The trajectories in order of group, then member; and how many episodes were thrown away and played again because
        the simulator failed. A fault says nothing about the policy, so it is never scored as a failure.

    Raises:
        EnvironmentFaultError: one episode failed `MAX_FAULTS` times.
    """
    waiting = deque(_Episode(job.group, member, job.seed) for job in jobs for member in range(job.members))
    total = len(waiting)
    active: dict[int, _Episode] = {}
    free = list(range(env.num_envs))
    seen: dict[int, tuple[Observations, int]] = {}
    finished: list[_Episode] = []
    faults = 0
    while len(finished) < total:
        started = []
        while free and waiting:
            index = free.pop(0)
            active[index] = waiting.popleft()
            started.append(index)
        if started:
            first = env.reset([active[i].seed for i in started], started)
            for row, index in enumerate(started):
                active[index].instruction = first.instructions[row]
                seen[index] = (first, row)
        indices = sorted(active)
        batch = _Batch([seen[i] for i in indices])
        choice = player.choose(env, indices, batch)
        result = env.step(choice.played, indices)
        for row, index in enumerate(indices):
            episode = active[index]
            seen[index] = (result.observations, row)
            if result.fault[row]:
                faults += 1
                waiting.append(_again(episode))
            else:
                episode.rows.append(_record(batch, choice, row, int(result.executed_steps[row])))
                if not result.done[row]:
                    continue
                episode.success = bool(result.success[row])
                finished.append(episode)
            del active[index]
            free.append(index)
        on_progress(len(finished))
    finished.sort(key=lambda episode: (episode.group, episode.member))
    return _assemble(finished, version), faults


class _Batch:
    """Observations put together from several calls."""

    def __init__(self, parts: Sequence[tuple[Observations, int]]) -> None:
        self.images: dict[str, NDArray[np.uint8]] = {
            name: np.stack([seen.images[name][row] for seen, row in parts]) for name in parts[0][0].images
        }
        self.state: NDArray[np.float32] = np.stack([seen.state[row] for seen, row in parts])
        self.instructions: list[str] = [seen.instructions[row] for seen, row in parts]
        self.target_position: NDArray[np.float32] = np.stack([seen.target_position[row] for seen, row in parts])


def _record(batch: _Batch, choice: Choice, row: int, executed: int) -> dict[str, NDArray[np.generic]]:
    images = {"image:" + name: image[row] for name, image in batch.images.items()}
    return {
        **images,
        "state": batch.state[row],
        "target_position": batch.target_position[row],
        "actions": choice.recorded[row],
        "tokens": choice.tokens[row],
        "log_probs": choice.log_probs[row],
        "executed_steps": np.int64(executed),
    }


def _again(episode: _Episode) -> _Episode:
    if episode.faults + 1 >= MAX_FAULTS:
        raise EnvironmentFaultError(
            f"the simulator failed {MAX_FAULTS} times on the episode with seed {episode.seed}; "
            "check the world's model and step size"
        )
    return _Episode(episode.group, episode.member, episode.seed, episode.faults + 1)


def _assemble(episodes: Sequence[_Episode], version: int) -> Trajectories:
    rows = [row for episode in episodes for row in episode.rows]
    plain = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
    plain["length"] = np.array([len(e.rows) for e in episodes], dtype=np.int64)
    plain["group"] = np.array([e.group for e in episodes], dtype=np.int64)
    plain["seed"] = np.array([e.seed for e in episodes], dtype=np.int64)
    plain["success"] = np.array([e.success for e in episodes], dtype=np.bool_)
    plain["version"] = np.full(len(episodes), version, dtype=np.int64)
    plain["instructions"] = np.frombuffer("\n".join(e.instruction for e in episodes).encode(), dtype=np.uint8)
    return Trajectories.from_arrays(plain)
