"""Several tasks, or levels of difficulty, in the same worlds of one process.

Each task at each level has a `BatchEnv`, made when first needed; all of them share one engine, so that a world is taken
over by another task and there are never more worlds than asked for.
"""

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from policy_api.schema import PolicySpec

from sim_train.envs.batch_env import BatchEnv, Observations, StepResult
from sim_train.envs.chunks import episode_chunks
from sim_train.worlds.engine import make_engine
from sim_train.worlds.episode import Episode
from sim_train.worlds.task import Task

Rows = NDArray[np.int64]


class MultiTaskEnv:
    """`num_envs` worlds, each with the task of its present episode."""

    def __init__(
        self,
        make_task: Callable[[int, float], Task],
        tasks: int,
        num_envs: int,
        spec: PolicySpec,
        engine: str,
        draw: Callable[[Task, int], Episode],
    ) -> None:
        """`make_task(number, level)` makes one of the `tasks` at a level of difficulty in 0..1; `spec` is the contract
        of them all, `draw` makes the episode of a seed. ValueError from `make_task` for worlds that cannot be."""
        self.spec = spec
        self.num_envs = num_envs
        self._make_task = make_task
        self._tasks = tasks
        self._draw = draw
        longest = max(make_task(number, 1.0).max_chunks for number in range(tasks))
        self.max_chunks = episode_chunks(longest, spec.horizon)
        """Of the longest task."""
        self._engine = make_engine(engine, num_envs, [(camera.width, camera.height) for camera in spec.cameras])
        self._envs: dict[tuple[int, float], BatchEnv] = {}
        self._of: list[BatchEnv | None] = [None] * num_envs

    def reset(
        self,
        seeds: Sequence[int],
        indices: Sequence[int],
        tasks: Sequence[int] | None = None,
        levels: Sequence[float] | None = None,
    ) -> Observations:
        """Start the episodes of `seeds` in the worlds `indices`, of these tasks (default: the first) at these levels
        (default: 1, full difficulty)."""
        tasks = [0] * len(seeds) if tasks is None else tasks
        levels = [1.0] * len(seeds) if levels is None else levels
        if not len(seeds) == len(indices) == len(tasks) == len(levels):
            raise ValueError(
                f"got {len(seeds)} seeds, {len(tasks)} tasks and {len(levels)} levels for {len(indices)} worlds; "
                "expected one of each a world"
            )
        for index, task, level in zip(indices, tasks, levels, strict=True):
            self._of[index] = self._env(int(task), float(level))
        return _merged(
            len(seeds),
            [(rows, env.reset([seeds[i] for i in rows], mine)) for env, rows, mine in self._shares(indices)],
        )

    @property
    def render_s(self) -> float:
        """Seconds spent on making what the policy sees, JPEG included."""
        return sum(env.render_s for env in self._envs.values())

    @property
    def executed(self) -> Counter[str]:
        """See `BatchEnv.executed`."""
        return sum((env.executed for env in self._envs.values()), Counter())

    def step(self, actions: NDArray[np.float32], indices: Sequence[int]) -> StepResult:
        """Execute one chunk in each world: `actions` (n, H, 4 * arms) in the contract's units."""
        parts = [(rows, env.step(actions[rows], mine)) for env, rows, mine in self._shares(indices)]
        order = _order([rows for rows, _ in parts])

        def whole(name: str) -> NDArray[np.generic]:
            return np.concatenate([getattr(result, name) for _, result in parts])[order]

        seen = _merged(len(indices), [(rows, result.observations) for rows, result in parts])
        return StepResult(
            seen,
            *(whole(name) for name in ("success", "executed_steps", "done", "fault")),  # type: ignore[arg-type]
        )

    def expert_actions(self, indices: Sequence[int]) -> NDArray[np.float32]:
        """The scripted experts' next chunk for each world, (n, H, 4 * arms)."""
        parts = [(rows, env.expert_actions(mine)) for env, rows, mine in self._shares(indices)]
        return np.concatenate([actions for _, actions in parts])[_order([rows for rows, _ in parts])]

    def close(self) -> None:
        """Free threads and graphics contexts."""
        self._engine.close()

    def _env(self, task: int, level: float) -> BatchEnv:
        if not 0 <= task < self._tasks:
            raise ValueError(f"there is no task number {task}; this environment has {self._tasks}, from 0")
        if (task, level) not in self._envs:
            made = self._make_task(task, level)
            self._envs[task, level] = BatchEnv(
                made, self.num_envs, engine=self._engine, draw=self._draw, spec=self.spec
            )
        return self._envs[task, level]

    def _shares(self, indices: Sequence[int]) -> list[tuple[BatchEnv, Rows, list[int]]]:
        """For each environment that has some of the worlds: which of `indices`, and the worlds themselves."""
        shares: dict[int, list[int]] = {}
        envs: dict[int, BatchEnv] = {}
        for i, world in enumerate(indices):
            env = self._of[world]
            if env is None:
                raise ValueError(f"world {world} has no episode yet; reset it first")
            envs[id(env)] = env
            shares.setdefault(id(env), []).append(i)
        return [(envs[key], np.array(rows), [indices[i] for i in rows]) for key, rows in shares.items()]


def _order(rows: Sequence[Rows]) -> Rows:
    """Where in the concatenation of parts the row 0, 1, .. is."""
    return np.argsort(np.concatenate(rows))


def _merged(count: int, parts: Sequence[tuple[Rows, Observations]]) -> Observations:
    """Observations of `count` worlds from those of some of them each."""
    if len(parts) == 1:
        return parts[0][1]
    order = _order([rows for rows, _ in parts])
    seen = [part for _, part in parts]
    texts = [text for part in seen for text in part.instructions]
    return Observations(
        images={name: np.concatenate([part.images[name] for part in seen])[order] for name in seen[0].images},
        state=np.concatenate([part.state for part in seen])[order],
        instructions=[texts[i] for i in order],
        target_position=np.concatenate([part.target_position for part in seen])[order],
    )
