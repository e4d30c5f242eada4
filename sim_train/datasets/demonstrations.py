"""Demonstrations on disk: a directory of shards (safetensors) and `index.json`, which says how they came to be.

A shard is listed in the index when it is whole, so that a recording can be killed at any time and goes on behind the
last whole shard. Loading checks everything and never executes anything.
"""

from __future__ import annotations

import fcntl
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from sim_train.datasets.checks import checked
from sim_train.datasets.index import (
    FILE,
    RECORDED,
    DatasetError,
    Index,
    Shard,
    read_index,
    shard_name,
    spec_of,
    write_index,
)
from sim_train.files import write_file
from sim_train.rollouts.trajectories import Trajectories, concatenate
from sim_train.worlds.seeds import TRAIN, check_seeds

_LOCK = ".recording"


class DemonstrationSet:
    """The data set in a directory. Episodes stand in the order in which their seeds were tried."""

    def __init__(self, directory: Path, index: Index) -> None:
        self.directory = directory
        self.index = index
        self.spec = spec_of(index.origin, directory)

    @classmethod
    def open(cls, directory: Path) -> DemonstrationSet:
        """An existing data set; DatasetError if there is none."""
        return cls(Path(directory), read_index(Path(directory)))

    @classmethod
    @contextmanager
    def recording(cls, directory: Path, origin: dict[str, Any]) -> Iterator[DemonstrationSet]:
        """The data set of that `origin` (of `index.origin_of`) in `directory`, new or to be gone on with.

        Raises:
            DatasetError: another one is there, or another process is recording into it.
        """
        directory.mkdir(parents=True, exist_ok=True)
        with (directory / _LOCK).open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise DatasetError(f"another process is recording into {directory}; wait, or choose another") from error
            if not (directory / FILE).exists():
                if others := sorted(p.name for p in directory.iterdir() if p.name != _LOCK and p.suffix != ".tmp"):
                    raise DatasetError(f"{directory} is no data set but holds {others[0]!r}; choose an empty directory")
                write_index(directory, Index(origin))
            made = cls.open(directory)
            found = made.index.origin
            if odd := sorted(key for key in origin.keys() | found.keys() if found.get(key) != origin.get(key)):
                raise DatasetError(
                    f"{directory} was recorded with another {odd[0]} ({found.get(odd[0])!r}, not "
                    f"{origin.get(odd[0])!r}); choose another directory, or remove it"
                )
            yield made

    @classmethod
    def open_all(cls, directory: Path) -> list[DemonstrationSet]:
        """The data set in a directory, or those in its folders, where several tasks were recorded; DatasetError if
        there is none."""
        folders = sorted(path.parent for path in Path(directory).glob(f"*/{FILE}"))
        alone = not folders or (Path(directory) / FILE).exists()
        return [cls.open(path) for path in ([directory] if alone else folders)]

    def __len__(self) -> int:
        return self.index.episodes

    @property
    def tried(self) -> int:
        """Seeds that are used up."""
        return self.index.tried

    def append(self, episodes: Trajectories, tried: int) -> None:
        """Write one more shard: the successes among the next `tried` seeds."""
        arrays = {name: np.ascontiguousarray(array) for name, array in episodes.arrays().items()}
        content = save(arrays)
        name = shard_name(len(self.index.shards))
        write_file(self.directory / name, content)
        shard = Shard(name, hashlib.sha256(content).hexdigest(), len(episodes), tried)
        self.index = Index(self.index.origin, [*self.index.shards, shard])
        write_index(self.directory, self.index)

    def load(self, episodes: int | None = None) -> Trajectories:
        """The first so many episodes (default: all).

        Raises:
            DatasetError: there are fewer, or a file is missing, damaged or holds what the contract does not allow.
        """
        wanted = len(self) if episodes is None else episodes
        if not 1 <= wanted <= len(self):
            raise DatasetError(f"{self.directory} has {len(self)} episodes, not {wanted}; record more into it")
        parts: list[Trajectories] = []
        have = 0
        for shard in self.index.shards:
            if shard.episodes and have < wanted:
                parts.append(self._read(shard))
                have += shard.episodes
        whole = concatenate(parts).select(np.arange(wanted))
        if self.index.origin.get("split") == RECORDED:
            return whole
        try:
            check_seeds(whole.seed.tolist(), TRAIN, "training")
        except ValueError as error:
            raise DatasetError(f"{self.directory}: {error}; record it anew") from error
        if len(np.unique(whole.seed)) != wanted:
            raise DatasetError(f"{self.directory} has two episodes of one seed; record it anew")
        return whole

    def _read(self, shard: Shard) -> Trajectories:
        path = self.directory / shard.file
        try:
            content = path.read_bytes()
            digest = hashlib.sha256(content).hexdigest()
            if digest != shard.sha256:
                raise ValueError(f"its SHA-256 is {digest[:12]}.., the index says {shard.sha256[:12]}..")
            made = checked(load(content), self.spec, self.index.origin.get("split") == RECORDED)
            if len(made) != shard.episodes:
                raise ValueError(f"it has {len(made)} episodes, the index says {shard.episodes}")
        except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
            raise DatasetError(f"{path} cannot be used: {error}; copy the data set again, or record it anew") from error
        return made
