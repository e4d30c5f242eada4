"""What runs on the nodes of a Ray cluster: actors that play episodes, and actors that infer for them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import ray
import torch

from sim_train.rollouts.environment import MakeEnvironment
from sim_train.rollouts.inference import Answer, Query
from sim_train.rollouts.inference_batcher import Batcher
from sim_train.rollouts.weights import Weights
from sim_train.rollouts.worker import Performer, Request


class RayLine:
    """A line to an inference actor."""

    def __init__(self) -> None:
        self.actor: Any = None

    def ask(self, query: Query) -> Callable[[], Answer]:
        """See `Line.ask`; `LostInferenceError` if the actor is gone."""
        asked = self.actor.answer.remote(query)

        def wait() -> Answer:
            try:
                return ray.get(asked)
            except ray.exceptions.RayActorError as error:
                raise LostInferenceError(str(error).partition("\n")[0]) from error

        return wait


class LostInferenceError(RuntimeError):
    """The inference actor has ended."""


class RolloutActor:
    """Plays episodes in worlds of its own.

    Args:
        make_environment: number of worlds -> environment.
        num_envs: worlds.
        shared: whether inference actors have the policy.
    """

    def __init__(self, make_environment: MakeEnvironment, num_envs: int, shared: bool) -> None:
        torch.set_num_threads(1)
        self._env = make_environment(num_envs)
        self._line = RayLine() if shared else None
        self._performer = Performer(self._env, self._line)
        self._weights = -1

    def whereabouts(self) -> tuple[str, int]:
        """Id of the node, and process id; answers when the worlds are built."""
        return ray.get_runtime_context().get_node_id(), os.getpid()

    def perform(
        self, request: Request, weights: int, reference: list[ray.ObjectRef], inference: list[Any]
    ) -> Iterator[tuple[str, Any]]:
        """Messages while the request is played; see `Performer.perform`. Also "lost": the inference actor has ended.

        Args:
            request: what to play.
            weights: number of the weights to play with.
            reference: to the weights, if there are any.
            inference: the actor to ask, if inference is shared.
        """
        if self._line is not None:
            self._line.actor = inference[0]
        elif reference and weights != self._weights:
            self._performer.load(ray.get(reference[0]))
            self._weights = weights
        try:
            yield from self._performer.perform(request)
        except LostInferenceError as error:
            yield "lost", str(error)


class InferenceActor:
    """Answers the rollout actors together; its methods run in threads. See `Batcher`."""

    def __init__(self, device: str, rows: int) -> None:
        torch.set_num_threads(1)
        self._batcher = Batcher(device, rows)

    def load(self, weights: Weights, number: int) -> None:
        """Answer with these weights from now on."""
        self._batcher.load(weights, number)

    def answer(self, query: Query) -> Answer:
        """Answer some worlds of one worker."""
        return self._batcher.ask(query).result()
