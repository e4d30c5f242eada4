"""Inference for many workers at once: their questions are put together into one batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sim_train.policies.protocol import Policy


@dataclass(frozen=True, eq=False)
class Query:
    """Observations of n worlds, and how to answer them."""

    weights: int
    """Number of the weights that are to answer."""
    temperature: float
    images: Mapping[str, NDArray[np.uint8]]
    state: NDArray[np.float32]
    instructions: Sequence[str]
    draws: NDArray[np.float32] | None
    """(n, draw_size); None at temperature 0."""

    def __len__(self) -> int:
        return len(self.state)


@dataclass(frozen=True, eq=False)
class Answer:
    """One chunk for each of n worlds; see `PolicyOutput`."""

    actions: NDArray[np.float32]
    drawn: dict[str, NDArray[np.generic]]
    log_probs: NDArray[np.float32]
    cpu_s: float = 0.0
    """Processor time that the inference worker spent on it."""


class InferenceError(RuntimeError):
    """Inference workers could not answer."""


class Line(Protocol):
    """A worker's connection to an inference worker."""

    def ask(self, query: Query) -> Callable[[], Answer]:
        """Send the question; the result waits for the answer. Answers are fetched in the order of the questions."""


def answer(policy: Policy, queries: Sequence[Query], rows: int = 0) -> list[Answer]:
    """Answer questions of one temperature together.

    An answer must not depend on who else asked. Products of many rows give each row the same result however many there
    are, except that one with a single row may be rounded in another way: a lone row is asked twice. Where the number of
    rows matters more, as on a GPU, which has another kernel for each size, every batch is brought to `rows` rows.

    Args:
        policy: answers.
        queries: at least one.
        rows: of each batch; 0: as many as there are.
    """
    images = {name: np.concatenate([q.images[name] for q in queries]) for name in queries[0].images}
    state = np.concatenate([q.state for q in queries])
    instructions = [text for q in queries for text in q.instructions]
    draws = None if queries[0].draws is None else np.concatenate([q.draws for q in queries if q.draws is not None])
    parts: list[Answer] = []
    for begin in range(0, len(state), rows or len(state)):
        chosen = np.arange(begin, min(begin + (rows or len(state)), len(state)))
        filled = np.concatenate([chosen, np.full(max(rows or 2, len(chosen)) - len(chosen), chosen[-1])])
        out = policy.act(
            {name: image[filled] for name, image in images.items()},
            state[filled],
            [instructions[i] for i in filled],
            queries[0].temperature,
            None if draws is None else draws[filled],
        )
        drawn = out.drawn if queries[0].temperature else {}
        count = len(chosen)
        parts.append(Answer(out.actions[:count], {n: a[:count] for n, a in drawn.items()}, out.log_probs[:count]))
    whole = Answer(
        np.concatenate([part.actions for part in parts]),
        {name: np.concatenate([part.drawn[name] for part in parts]) for name in parts[0].drawn},
        np.concatenate([part.log_probs for part in parts]),
    )
    ends = np.cumsum([len(q) for q in queries])
    return [
        Answer(whole.actions[a:b], {n: array[a:b] for n, array in whole.drawn.items()}, whole.log_probs[a:b])
        for a, b in zip([0, *ends[:-1]], ends, strict=True)
    ]
