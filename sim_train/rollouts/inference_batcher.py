"""One policy that answers many workers."""

from __future__ import annotations

import queue
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass, replace

import torch

from sim_train.policies.kinds import StoredPolicy
from sim_train.rollouts.inference import Answer, InferenceError, Query, answer
from sim_train.rollouts.weights import Weights, build


@dataclass(frozen=True, eq=False)
class _Load:
    weights: Weights
    number: int


@dataclass(frozen=True, eq=False)
class _Asked:
    query: Query
    answer: Future[Answer]


class Batcher:
    """One thread that answers everything that has come in since it looked last, in one go.

    Questions to weights that have not come yet wait for them; those to weights that were replaced are refused.

    Args:
        device: that the policy computes on.
        rows: see `answer`.
    """

    def __init__(self, device: str, rows: int = 0) -> None:
        self._device = device
        self._rows = rows
        self._inbox: queue.SimpleQueue[_Load | _Asked | None] = queue.SimpleQueue()
        self._policy: StoredPolicy | None = None
        self._weights: Weights | None = None
        self._number = -1
        self._cpu_s = time.process_time()
        self.batches: list[int] = []
        """Questions of the recent batches."""
        self._thread = threading.Thread(target=self._run, name="inference", daemon=True)
        self._thread.start()

    def load(self, weights: Weights, number: int) -> None:
        """Answer with these weights from now on."""
        self._inbox.put(_Load(weights, number))

    def ask(self, query: Query) -> Future[Answer]:
        """Answer a question some time; the future raises `InferenceError` if that cannot be."""
        asked = _Asked(query, Future())
        self._inbox.put(asked)
        return asked.answer

    def close(self) -> None:
        """Answer what was asked before, and stop."""
        self._inbox.put(None)
        self._thread.join()

    def _run(self) -> None:
        held: list[_Asked] = []
        while True:
            items = [self._inbox.get()]
            while not self._inbox.empty():
                items.append(self._inbox.get())
            for item in items:
                if isinstance(item, _Load):
                    self._load(item)
                elif item is not None:
                    held.append(item)
            due = [asked for asked in held if asked.query.weights <= self._number]
            held = [asked for asked in held if asked.query.weights > self._number]
            for temperature in dict.fromkeys(asked.query.temperature for asked in due):
                self._answer([asked for asked in due if asked.query.temperature == temperature])
            if None in items:
                return

    def _load(self, item: _Load) -> None:
        self._policy = build(item.weights, self._policy, self._weights)
        if isinstance(self._policy, torch.nn.Module):
            self._policy.to(self._device)
        self._weights, self._number = item.weights, item.number

    def _answer(self, asked: list[_Asked]) -> None:
        old = [a for a in asked if a.query.weights < self._number]
        now = [a for a in asked if a.query.weights == self._number]
        for a in old:
            a.answer.set_exception(InferenceError(f"weights {a.query.weights} were replaced by {self._number}"))
        if not now or self._policy is None:
            return
        self.batches = [*self.batches[-99:], len(now)]
        try:
            answers = answer(self._policy, [a.query for a in now], self._rows)
        except Exception as error:  # noqa: BLE001 - whatever a policy raises belongs to who asked, not to this thread
            for a in now:
                a.answer.set_exception(InferenceError(f"inference failed: {type(error).__name__}: {error}"))
        else:
            cpu_s, rows = self._cpu_since_last(), sum(len(a.query) for a in now)
            for a, result in zip(now, answers, strict=True):
                a.answer.set_result(replace(result, cpu_s=cpu_s * len(a.query) / rows))

    def _cpu_since_last(self) -> float:
        """Processor time of the whole process, s: talking to workers and taking weights are part of the service."""
        before, self._cpu_s = self._cpu_s, time.process_time()
        return self._cpu_s - before
