"""What share of successes was done in a way that no demonstration shows ("pushcut", arXiv 2509.09674)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from policy_api.intervals import wilson_interval

from sim_train.reports.runs import DEMONSTRATIONS, TrainingRun

PLAYERS = {DEMONSTRATIONS: "demonstrations", "sft": "SFT", "rl": "RL"}
"""Who is compared, and what the page calls them. All of them play the same held-out starts."""


@dataclass(frozen=True)
class Share:
    """A part of some successes."""

    count: int
    of: int

    @property
    def rate(self) -> float:
        """0 where there is no success."""
        return self.count / self.of if self.of else 0.0

    @property
    def interval(self) -> tuple[float, float] | None:
        """Wilson's, of 95 %; None where there is no success."""
        return wilson_interval(self.count, self.of) if self.of else None


@dataclass(frozen=True)
class Pushcut:
    """Strategies of one task."""

    run: str
    task: str
    strategies: dict[str, dict[str, Share]]
    """By strategy, commonest of RL first, then by player: share of that player's successes. Players who did not play
    are left out."""
    new: tuple[str, ...]
    """Strategies of RL that no demonstration used."""
    new_share: Share | None
    """Of RL's successes, those with a new strategy; None without demonstrations to compare with."""
    demonstrations: int
    """Successful ones that were classified."""
    missed: float | None
    """Largest share that a strategy may have in the demonstrations without being seen (upper end of its 95 %
    interval)."""


def pushcuts(run: TrainingRun) -> list[Pushcut]:
    """Of each task that was played again, see `sim_train.replay`; empty if RL did not play."""
    return [compare(run.name, task, _played(run, task)) for task in run.strategies.get("rl", {})]


def compare(run: str, task: str, played: Mapping[str, Mapping[str, str | None]]) -> Pushcut:
    """Compare players.

    Args:
        run: its name.
        task: its name.
        played: by player of `PLAYERS`, by seed: the strategy of a success, None for a failure. "rl" must be there.
    """
    counts = {who: Counter(name for name in seeds.values() if name) for who, seeds in played.items()}
    totals = {who: sum(count.values()) for who, count in counts.items()}
    names = sorted({name for count in counts.values() for name in count}, key=lambda name: (-counts["rl"][name], name))
    shown = {name: {who: Share(count[name], totals[who]) for who, count in counts.items()} for name in names}
    shows = counts.get(DEMONSTRATIONS)
    if not shows:
        return Pushcut(run, task, shown, (), None, 0, None)
    new = tuple(name for name in names if counts["rl"][name] and not shows[name])
    share = Share(sum(counts["rl"][name] for name in new), totals["rl"])
    seen = totals[DEMONSTRATIONS]
    return Pushcut(run, task, shown, new, share, seen, wilson_interval(0, seen)[1])


def _played(run: TrainingRun, task: str) -> dict[str, dict[str, str | None]]:
    return {who: run.strategies[who][task] for who in PLAYERS if task in run.strategies.get(who, {})}
