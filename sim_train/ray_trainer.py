"""The trainer on a node of a Ray cluster, and the process that the user started: it repeats what the trainer says."""

from __future__ import annotations

import io
import os
import queue
import socket
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from sim_train.config import ConfigError, TrainConfig
from sim_train.hardware import check_hardware
from sim_train.rollouts.calls import WorkerFailureError
from sim_train.rollouts.ray_cluster import Room, connect
from sim_train.stages.run import StopFlag

import ray  # isort: skip - after ray_cluster, which says what Ray may tell the world

UNUSABLE = 2
"""Exit status for settings that cannot be run."""
_POLL_S = 0.25
_CALLS_AT_ONCE = 3  # the three methods below


class _Speech(io.StringIO):
    """A text file whose writer is heard elsewhere."""

    def __init__(self, stream: str, said: queue.SimpleQueue[tuple[str, str] | None]) -> None:
        super().__init__()
        self._stream = stream
        self._said = said

    def write(self, text: str) -> int:
        self._said.put((self._stream, text))
        return len(text)


class _ToldStop(StopFlag):
    """Set by a call: signals reach the process that the user started."""

    @contextmanager
    def listening(self) -> Iterator[StopFlag]:
        """Nothing to listen to."""
        yield self


class TrainerActor:
    """Trains. Its methods run at the same time, in threads."""

    def __init__(self) -> None:
        self._said: queue.SimpleQueue[tuple[str, str] | None] = queue.SimpleQueue()
        self._stop = _ToldStop()

    def train(self, config: TrainConfig, folder: str, mark: str) -> int:
        """Train; returns the exit status.

        Args:
            config: with an absolute `output_dir`.
            folder: what relative paths are relative to, where this node has it.
            mark: name of a file in `output_dir` that this node must see.
        """
        from sim_train.train import run_main  # it imports this module

        out, errors = _Speech("stdout", self._said), _Speech("stderr", self._said)
        here = f"{ray.util.get_node_ip_address()} ({socket.gethostname()})"
        try:
            if not Path(config.output_dir, mark).exists():
                raise ConfigError(
                    f"the trainer's node {here} does not see output_dir={config.output_dir} of the machine where you "
                    "started; choose one on a file system that both see, or start on that node without "
                    "rollout.ray.trainer"
                )
            check_hardware(config.hardware)
            if Path(folder).is_dir():
                os.chdir(folder)
            print(f"trainer: on node {here}", file=out)
            return run_main(config, self._stop, out, errors)
        except ConfigError as error:
            print(f"sim_train.train: {error}", file=errors)
            return UNUSABLE
        finally:
            self._said.put(None)

    def lines(self) -> Iterator[tuple[str, str]]:
        """What it says, until it ends: "stdout" or "stderr", and text."""
        while (said := self._said.get()) is not None:
            yield said

    def stop(self, status: int) -> None:
        """Save and end, with this exit status."""
        self._stop.status, self._stop.requested = status, True


def train_on_node(config: TrainConfig) -> int:
    """Train where `rollout.ray.trainer` says; returns the exit status and prints the reason if it is not 0."""
    config = replace(config, output_dir=str(Path(config.output_dir).absolute()))
    mark = Path(config.output_dir, f".started-{uuid.uuid4().hex}")
    mine = False
    try:
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()
        mine = connect(config.rollout.ray)
        return _attended(config, mark.name)
    except (WorkerFailureError, OSError) as error:
        return _failed(str(error))
    finally:
        mark.unlink(missing_ok=True)
        if mine:
            ray.shutdown()


def _attended(config: TrainConfig, mark: str) -> int:
    role, stop = config.rollout.ray.trainer, StopFlag()
    room = Room(config.rollout.ray, [role])
    actor: Any = ray.remote(TrainerActor).options(**room.options(role), max_concurrency=_CALLS_AT_ONCE).remote()
    try:
        with stop.listening():
            status = actor.train.remote(config, os.getcwd(), mark)
            _listen(actor, stop)
            return int(ray.get(status))
    except KeyboardInterrupt:
        print("ended at once; start again with the same command to go on from what was saved last")
        return stop.status
    except (ray.exceptions.RayActorError, ray.exceptions.ObjectLostError) as error:
        reason = str(error).strip().partition("\n")[0]
        return _failed(
            f"the trainer was lost, alone or with its node ({reason}); start again with the same command to go on from "
            "what was saved last"
        )
    finally:
        ray.kill(actor)
        room.free()


def _listen(actor: Any, stop: StopFlag) -> None:  # noqa: ANN401 - Ray makes the type of a handle
    """Repeat what the trainer says until it ends, and tell it when the user wants it to stop."""
    lines = actor.lines.options(num_returns="streaming").remote()
    told = False
    while True:
        if stop.requested and not told:
            actor.stop.remote(stop.status)
            told = True
        if not ray.wait([lines], timeout=_POLL_S, fetch_local=False)[0]:
            continue
        try:
            stream, text = ray.get(next(lines))
        except StopIteration:
            return
        print(text, end="", file=sys.stderr if stream == "stderr" else sys.stdout, flush=True)


def _failed(reason: str) -> int:
    print(f"sim_train.train: {reason}", file=sys.stderr)
    return 1
