"""Play episodes in one process: every world that ends an episode takes the next one at once.

All randomness of an episode comes from a generator of its own, so that it is the same whoever plays beside it, in
whatever process, and however often a worker has to begin again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import cast

import numpy as np
from numpy.typing import NDArray

from sim_train.rollouts.environment import Environment, MultiTaskEnvironment, Observations
from sim_train.rollouts.players import Choice, Player
from sim_train.rollouts.timers import Spent, Stopwatch
from sim_train.rollouts.trajectories import Trajectories

MAX_FAULTS = 5
"""Times that one episode may end in a simulator fault before the run is refused."""
_RESET_AT_ONCE = 4  # worlds: between resets there is a sign of life


@dataclass(frozen=True)
class Job:
    """`members` episodes that start from the same point."""

    group: int
    seed: int
    members: int
    task: int = 0
    """Index of the task among those of the run."""
    level: float = 1.0
    """Of difficulty, in 0..1: where between their start and their end a curriculum's knobs are."""


@dataclass(frozen=True)
class Start:
    """One episode that is to be played."""

    group: int
    member: int
    seed: int
    task: int = 0
    level: float = 1.0


def starts_of(jobs: Iterable[Job]) -> list[Start]:
    """The single episodes of the jobs, members of a group side by side."""
    return [Start(job.group, member, job.seed, job.task, job.level) for job in jobs for member in range(job.members)]


class EnvironmentFaultError(RuntimeError):
    """An episode cannot be played: the simulator fails on it again and again."""


@dataclass
class Episode:
    """One that is being played, or has been."""

    start: Start
    rng: np.random.Generator
    faults: int = 0
    instruction: str = ""
    rows: list[dict[str, NDArray[np.generic]]] = field(default_factory=list)
    success: bool = False


@dataclass(frozen=True)
class Beat:
    """A sign of life: some worlds were reset, or a table of them played a chunk."""

    kind: str
    """Either "reset" or "chunk"."""
    finished: list[Episode]
    faults: int
    """Episodes that were thrown away in this chunk, to be played again, because the simulator failed."""
    spent: Spent
    """Where the time since the beat before went."""


def play(env: Environment, player: Player, starts: Sequence[Start], seed: int, tables: int = 1) -> Iterator[Beat]:
    """Play all episodes, a beat at a time.

    A fault of the simulator says nothing about the policy, so that episode is never scored as a failure.

    Args:
        env: the worlds.
        player: chooses.
        starts: the episodes.
        seed: of the players' randomness, together with an episode's own numbers.
        tables: parts of the worlds that take turns: while one is simulated, the player thinks about the others.

    Raises:
        EnvironmentFaultError: one episode failed `MAX_FAULTS` times.
    """
    waiting = deque(_begin(start, seed) for start in starts)
    parts = np.array_split(np.arange(env.num_envs), min(tables, env.num_envs))
    seats = [_Table(env, player, part.tolist()) for part in parts]
    watch = Stopwatch()
    while waiting or any(table.active for table in seats):
        for table in seats:
            if table.active:
                yield table.play(waiting, seed, watch)
            while table.free and waiting:
                yield table.seat(waiting, watch)
            if table.active:
                table.ask(watch)


class _Table:
    """Some of the worlds of an environment, which step together."""

    def __init__(self, env: Environment, player: Player, worlds: list[int]) -> None:
        self.env = env
        self.player = player
        self.free = worlds
        self.active: dict[int, Episode] = {}
        self._seen: dict[int, tuple[Observations, int]] = {}
        self._indices: list[int] = []
        self._batch: _Batch
        self._answer: Callable[[], Choice]

    def seat(self, waiting: deque[Episode], watch: Stopwatch) -> Beat:
        """Reset some free worlds for the next episodes."""
        count = min(_RESET_AT_ONCE, len(self.free), len(waiting))
        rows, self.free = self.free[:count], self.free[count:]
        begun = [waiting.popleft() for _ in rows]
        with watch.environment(self.env):
            first = _reset(self.env, [episode.start for episode in begun], rows)
        for row, index in enumerate(rows):
            self.active[index] = begun[row]
            self.active[index].instruction = first.instructions[row]
            self._seen[index] = (first, row)
        return Beat("reset", [], 0, watch.take())

    def ask(self, watch: Stopwatch) -> None:
        """Ask the player about all worlds that are being played."""
        self._indices = sorted(self.active)
        self._batch = _Batch([self._seen[i] for i in self._indices])
        with watch.inference():
            rngs = [self.active[i].rng for i in self._indices]
            self._answer = self.player.ask(self.env, self._indices, self._batch, rngs)

    def play(self, waiting: deque[Episode], seed: int, watch: Stopwatch) -> Beat:
        """Play what the player answers."""
        with watch.inference():
            choice = self._answer()
        watch.count(choice.cpu_s)
        with watch.environment(self.env):
            result = self.env.step(choice.played, self._indices)
        finished: list[Episode] = []
        for row, index in enumerate(self._indices):
            episode = self.active[index]
            self._seen[index] = (result.observations, row)
            if result.fault[row]:
                waiting.append(_again(episode, seed))
            else:
                episode.rows.append(_record(self._batch, choice, row, int(result.executed_steps[row])))
                if not result.done[row]:
                    continue
                episode.success = bool(result.success[row])
                finished.append(episode)
            del self.active[index]
            self.free.append(index)
        return Beat("chunk", finished, int(result.fault.sum()), watch.take())


def play_episodes(
    env: Environment, player: Player, jobs: Sequence[Job], version: int, seed: int = 0
) -> tuple[Trajectories, int]:
    """Play all episodes of the jobs in this process.

    Returns:
        The trajectories in order of group, then member, marked with the `version` of the player's weights; and how many
        episodes were played again because of a fault.

    Raises:
        EnvironmentFaultError: see `play`.
    """
    finished: list[Episode] = []
    faults = 0
    for beat in play(env, player, starts_of(jobs), seed):
        finished += beat.finished
        faults += beat.faults
    finished.sort(key=lambda episode: (episode.start.group, episode.start.member))
    return assemble(finished, version), faults


def assemble(episodes: Sequence[Episode], version: int) -> Trajectories:
    """Finished episodes as trajectories of weights `version`, in the given order."""
    rows = [row for episode in episodes for row in episode.rows]
    plain = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
    plain["length"] = np.array([len(e.rows) for e in episodes], dtype=np.int64)
    plain["group"] = np.array([e.start.group for e in episodes], dtype=np.int64)
    plain["seed"] = np.array([e.start.seed for e in episodes], dtype=np.int64)
    plain["task"] = np.array([e.start.task for e in episodes], dtype=np.int64)
    plain["success"] = np.array([e.success for e in episodes], dtype=np.bool_)
    plain["version"] = np.full(len(episodes), version, dtype=np.int64)
    plain["instructions"] = np.frombuffer("\n".join(e.instruction for e in episodes).encode(), dtype=np.uint8)
    return Trajectories.from_arrays(plain)


def _reset(env: Environment, starts: Sequence[Start], rows: Sequence[int]) -> Observations:
    seeds = [start.seed for start in starts]
    if all((start.task, start.level) == (0, 1.0) for start in starts):
        return env.reset(seeds, rows)
    several = cast(MultiTaskEnvironment, env)  # who asks for more than one task has made worlds for it
    return several.reset(seeds, rows, [start.task for start in starts], [start.level for start in starts])


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
        **{"drawn:" + name: array[row] for name, array in choice.drawn.items()},
        "state": batch.state[row],
        "target_position": batch.target_position[row],
        "actions": choice.recorded[row],
        "log_probs": choice.log_probs[row],
        "executed_steps": np.int64(executed),
    }


def _begin(start: Start, seed: int, faults: int = 0) -> Episode:
    return Episode(start, np.random.default_rng([seed, start.group, start.member, faults]), faults)


def _again(episode: Episode, seed: int) -> Episode:
    if episode.faults + 1 >= MAX_FAULTS:
        raise EnvironmentFaultError(
            f"the simulator failed {MAX_FAULTS} times on the episode with seed {episode.start.seed}; "
            "check the world's model and step size"
        )
    return _begin(episode.start, seed, episode.faults + 1)
