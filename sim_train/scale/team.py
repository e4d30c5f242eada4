"""The processes of one training: one that leads, plays and writes files, and those that only learn along with it.

Weights in shards need every process for every forward pass. So whatever learns is made in all processes, and the leader
says what it does before it does it; the others do the same. Nothing else runs twice: rollouts, decisions and files are
the leader's alone. Launched by `torchrun --nproc_per_node=GPUS -m sim_train.train scale.fsdp=true ..`.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Generic, TypeVar

import torch
from torch import distributed

from sim_train.algorithms.parallel import GradientThreads
from sim_train.algorithms.updater import DivergedError
from sim_train.scale.config import ScaleConfig
from sim_train.scale.gradients import ShardedGradients
from sim_train.typed import ConfigError

T = TypeVar("T")
_PATIENCE = timedelta(days=7)  # rollouts and validations may take long


class TeamError(ConfigError):
    """Processes that were started in another way than the configuration needs; the text says how to start them."""


class Team:
    """One process that learns alone; `SeveralTeam` is one of several.

    Args:
        gradients: compute gradients, in this process.
    """

    def __init__(self, gradients: GradientThreads) -> None:
        self.gradients = gradients

    @property
    def leads(self) -> bool:
        """Whether this process plays, decides and writes files."""
        return True

    def share(self, make: Callable[..., T], *parts: object) -> Shared[T]:
        """Make the same learner in every process: make(gradients, *parts). `make` must be importable by name."""
        self.tell(("make", make, parts))
        return Shared(self, make(self.gradients, *parts))

    def tell(self, message: object) -> None:
        """Say to the others what this process is about to do."""

    def follow(self) -> None:
        """Do what the leader says until it says that it has finished."""


class Shared(Generic[T]):
    """A learner that every process has.

    Attributes:
        mine: this process's.
    """

    def __init__(self, team: Team, mine: T) -> None:
        self._team = team
        self.mine = mine

    def call(self, method: str, *arguments: object) -> Any:  # noqa: ANN401 - what the method returns
        """Call a method of it in every process, with equal arguments; returns this process's result."""
        self._team.tell(("call", method, arguments))
        return getattr(self.mine, method)(*arguments)


class SeveralTeam(Team):
    """One of several processes; see `team_of`."""

    def __init__(self, gradients: GradientThreads) -> None:
        super().__init__(gradients)
        # waiting for the leader must neither need a GPU nor run out of time
        self._group = distributed.new_group(backend="gloo", timeout=_PATIENCE)

    @property
    def leads(self) -> bool:
        """Whether this process plays, decides and writes files."""
        return distributed.get_rank() == 0

    def tell(self, message: object) -> None:
        """Say to the others what this process is about to do."""
        distributed.broadcast_object_list([message], src=0, group=self._group)

    def follow(self) -> None:
        """Do what the leader says until it says that it has finished."""
        for number in (signal.SIGINT, signal.SIGTERM):  # they reach the leader, too, which saves first
            signal.signal(number, signal.SIG_IGN)
        learner: Any = None
        while True:
            told: list[Any] = [None]
            distributed.broadcast_object_list(told, src=0, group=self._group)
            if told[0] is None:
                return
            kind, what, arguments = told[0]
            if kind == "make":
                learner = what(self.gradients, *arguments)
                continue
            try:
                getattr(learner, what)(*arguments)
            except DivergedError:  # the leader met it, too, and decides what follows
                continue


@contextmanager
def team_of(config: ScaleConfig, threads: int) -> Iterator[Team]:
    """This process's team; the others are told when the leader has finished.

    Args:
        config: of the trainer.
        threads: that compute gradients where no GPU does.

    Raises:
        TeamError: shards are asked for, but torchrun has not started this process, or the other way round.
    """
    started = "LOCAL_RANK" in os.environ and int(os.environ.get("WORLD_SIZE", "1")) > 1
    if started != config.fsdp:
        raise TeamError(
            "torchrun has started several processes, but scale.fsdp is false: each would train alone; add "
            "scale.fsdp=true"
            if started
            else "scale.fsdp=true needs several processes; start them with torchrun --nproc_per_node=GPUS -m "
            "sim_train.train scale.fsdp=true .."
        )
    if not config.fsdp:
        device = config.torch_device().type
        count = 1 if device == "cuda" else threads
        with GradientThreads(count, config.micro_batch, device if config.bf16 else "") as gradients:
            yield Team(gradients)
        return
    if config.device != "cpu" and torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    device = config.torch_device().type
    distributed.init_process_group("cpu:gloo,cuda:nccl" if device == "cuda" else "gloo")
    try:
        with ShardedGradients(config.micro_batch, device if config.bf16 else "") as gradients:
            team = SeveralTeam(gradients)
            try:
                yield team
            finally:
                if team.leads:
                    team.tell(None)
    finally:
        distributed.destroy_process_group()
