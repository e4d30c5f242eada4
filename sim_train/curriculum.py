"""Curriculum: a task's difficulty knobs move from easy to hard as the policy gets better.

Episodes are played at a level in 0..1: at 0 each knob has its value at the start, at 1 that at the end. Whoever samples
enough successes goes a step up, whoever samples too few a step down. Validation is always at level 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class CurriculumConfig:
    """Which knobs move, and when."""

    knobs: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Knob -> its values at the start and at the end, as in {spread: [0.5, 1.0]}; empty: no curriculum."""
    advance_above: float = 0.6
    """Sampled success of an update above which the next one is a step harder."""
    fall_below: float = 0.2
    """Sampled success of an update below which the next one is a step easier."""
    step: float = 0.1
    """Of the level, in 0..1."""

    def checks(self) -> list[tuple[bool, str]]:
        """Whether each setting makes sense, and what to say if not."""
        ends = [value for pair in self.knobs.values() for value in pair]
        return [
            (all(math.isfinite(value) for value in ends), "curriculum.knobs must be finite numbers"),
            (
                0 <= self.fall_below < self.advance_above <= 1,
                "curriculum.fall_below and advance_above must lie in 0..1, fall_below under advance_above",
            ),
            (0 < self.step <= 1, "curriculum.step must be above 0 and at most 1"),
        ]


class Curriculum:
    """The levels of some tasks. Without knobs in the configuration all of them stay at 1."""

    def __init__(self, config: CurriculumConfig, tasks: int) -> None:
        self.config = config
        self.levels = [0.0 if config.knobs else 1.0] * tasks
        """Of each task, in 0..1."""

    def observe(self, task: int, success: float) -> None:
        """Move the level of task number `task`, of whose episodes at the present level this share succeeded."""
        if not self.config.knobs:
            return
        up = self.config.step if success > self.config.advance_above else 0.0
        down = self.config.step if success < self.config.fall_below else 0.0
        moved = min(max(self.levels[task] + up - down, 0.0), 1.0)
        self.levels[task] = round(moved, 6)  # steps up and down must meet at the same number

    def values(self, task: int) -> dict[str, float]:
        """The knobs of task number `task` at its present level."""
        level = self.levels[task]
        return {name: start + (end - start) * level for name, (start, end) in self.config.knobs.items()}

    def restore(self, levels: Sequence[float]) -> None:
        """Go on from saved `levels`."""
        self.levels = [float(level) for level in levels]
