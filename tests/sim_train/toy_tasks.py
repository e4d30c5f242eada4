"""Two toy tasks in one environment: "toy" as in `toy_env`, "yot" the other way round; a level makes both harder."""

import numpy as np
from toy_env import Seen, ToyEnv

PHRASES = (("go left", "go right"), ("flee from left", "flee from right"))
MARGIN_M = 0.02
"""How far it is to go at level 1; at level 0 any distance will do."""


class ToyTasksEnv(ToyEnv):
    """Remembers in `told` what it was asked for: (seed, task, level)."""

    def __init__(self, num_envs, tasks=2):
        super().__init__(num_envs)
        self.count = tasks
        self.task = np.zeros(num_envs, dtype=np.int64)
        self.level = np.ones(num_envs)
        self.told = []

    def reset(self, seeds, indices, tasks=None, levels=None):
        rows = np.asarray(indices)
        self.task[rows] = 0 if tasks is None else tasks
        self.level[rows] = 1.0 if levels is None else levels
        if self.task.max() >= self.count:
            raise ValueError(f"there are {self.count} tasks")
        self.told += zip(seeds, self.task[rows].tolist(), self.level[rows].tolist(), strict=True)
        return super().reset(seeds, indices)

    def _seen(self, rows):
        seen = super()._seen(rows)
        texts = [PHRASES[task][seed % 2] for task, seed in zip(self.task[rows], self.seeds[rows], strict=True)]
        return Seen(seen.images, seen.state, texts, seen.target_position)

    def step(self, actions, indices):
        rows = np.asarray(indices)
        wanted = np.where((self.seeds[rows] + self.task[rows]) % 2, 1.0, -1.0)
        good = actions[:, :, 0] * wanted[:, None] > (self.level[rows] * MARGIN_M)[:, None]
        result = super().step(actions, indices)
        result.success = good.any(axis=1)
        result.executed_steps = np.where(result.success, good.argmax(axis=1) + 1, self.spec.horizon)
        result.done = result.success | (self.chunks[rows] >= self.max_chunks)
        return result

    def expert_actions(self, indices):
        actions = super().expert_actions(indices)
        actions[:, :, 0] *= np.where(self.task[np.asarray(indices)], -1.0, 1.0)[:, None]
        return actions


def make_toys(worlds, num_envs):
    """As `sim_train.envs.settings.make_environment`, for worlds with the task "toy+yot"."""
    return ToyTasksEnv(num_envs, len(worlds.tasks))
