"""Contestants take turns in shuffled order, round by round; what counts is the ratio within a round."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from benchmarks.serving.processes import Process

Say = Callable[[str], None]


@dataclass
class Rounds:
    """What each contestant took in each round, all requests of a round in one list, microseconds."""

    took: dict[str, list[list[float]]] = field(default_factory=dict)

    def quantile_ms(self, name: str, share: float) -> float:
        """Median over the rounds of a round's quantile, milliseconds."""
        return median(quantile(each, share) for each in self.took[name]) / 1000

    def ratio(self, name: str, to: str, share: float = 0.5) -> float:
        """Median over the rounds of the ratio of two contestants' quantiles in the same round."""
        pairs = zip(self.took[name], self.took[to], strict=True)
        return median(quantile(mine, share) / quantile(other, share) for mine, other in pairs)


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)]


def compete(
    clients: Mapping[str, Process],
    rounds: int,
    requests: int,
    say: Say,
    beside: Mapping[str, Mapping[str, Process]] | None = None,
) -> Rounds:
    """Play `rounds` rounds of `requests` requests a client, after one that does not count.

    Args:
        clients: by contestant.
        rounds: that count.
        requests: of each client (of each of its robots) in a round.
        say: told how far it is.
        beside: by contestant, clients that ask twice as often at the same time; they are found under their own names.
    """
    beside = beside or {}
    found = Rounds()
    order = list(clients)
    shuffle = random.Random(0).shuffle
    for number in range(rounds + 1):
        shuffle(order)
        for name in order:
            say(f"round {number}/{rounds}: {name}")
            clients[name].ask(requests)
            others = beside.get(name, {})
            for other in others.values():
                other.ask(2 * requests)
            for other_name, other in others.items():
                found.took.setdefault(other_name, []).append(other.answer())
            found.took.setdefault(name, []).append(clients[name].answer())
    for each in found.took.values():
        del each[0]
    return found
