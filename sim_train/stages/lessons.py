"""What the next groups are about: which task each plays, and how hard it is; and how the groups of an update went."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim_train.algorithms.task_mix import TaskMix
from sim_train.curriculum import Curriculum, CurriculumConfig
from sim_train.reports.diagnostics import group_interval
from sim_train.rollouts.episodes import Job
from sim_train.rollouts.trajectories import Trajectories


class Lessons:
    """Tasks and levels of the groups of a run with one task or several.

    Args:
        names: of the tasks, in the order of their numbers.
        weights: one of `task_mix.TASK_WEIGHTS`.
        curriculum: which knobs move, and when.
        group_size: trajectories of a group.
    """

    def __init__(self, names: Sequence[str], weights: str, curriculum: CurriculumConfig, group_size: int) -> None:
        self.names = tuple(names)
        self.mix = TaskMix(len(names), weights)
        self.curriculum = Curriculum(curriculum, len(names))
        self._size = group_size
        self._tasks: list[NDArray[np.int64]] = []
        self._rates: list[NDArray[np.float64]] = []

    def jobs(self, first_group: int, seeds: Sequence[int]) -> list[Job]:
        """A job for each seed: groups from number `first_group` on."""
        tasks = self.mix.deal(len(seeds))
        return [
            Job(first_group + i, seed, self._size, task, self.curriculum.levels[task])
            for i, (seed, task) in enumerate(zip(seeds, tasks, strict=True))
        ]

    def saw(self, played: Trajectories) -> None:
        """Take note of groups that were played, members of a group side by side."""
        self._tasks.append(played.task[:: self._size])
        self._rates.append(played.success.reshape(-1, self._size).mean(axis=1))

    def finish(self) -> dict[str, Any]:
        """End an update: what to record of it, and the next one's mix and levels follow from how it went.

        "success_ci95" of all tasks together; with several tasks "tasks", figures by name; with a curriculum "levels",
        by task the level and knobs at which these groups were played. Empty if there was no group.
        """
        if not self._tasks:
            return {}
        tasks, rates = np.concatenate(self._tasks), np.concatenate(self._rates)
        self._tasks, self._rates = [], []
        record: dict[str, Any] = {"success_ci95": list(group_interval(rates.tolist(), self._size))}
        if self.curriculum.config.knobs:
            record["levels"] = {
                name: {"level": self.curriculum.levels[i], **self.curriculum.values(i)}
                for i, name in enumerate(self.names)
            }
        shares = self.mix.shares
        figures = {}
        for number in np.unique(tasks).tolist():
            mine = rates[tasks == number]
            figures[self.names[number]] = self._figures(mine) | {"share": shares[number]}
            self.mix.observe(number, float(mine.mean()))
            self.curriculum.observe(number, float(mine.mean()))
        if len(self.names) > 1:
            record["tasks"] = figures
        return record

    def _figures(self, rates: NDArray[np.float64]) -> dict[str, Any]:
        """Of the groups of one task with these shares of successes."""
        return {
            "success": float(rates.mean()),
            "success_ci95": list(group_interval(rates.tolist(), self._size)),
            "groups": len(rates),
            "mixed_share": float(((rates > 0) & (rates < 1)).mean()),
            "failed_share": float((rates == 0).mean()),
            "succeeded_share": float((rates == 1).mean()),
        }

    def state(self) -> dict[str, Any]:
        """Everything to go on from here, between updates."""
        return {"mix": self.mix.state(), "levels": list(self.curriculum.levels)}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a `state`."""
        self.mix.restore(state["mix"])
        self.curriculum.restore(state["levels"])
