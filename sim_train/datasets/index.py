"""The table of contents of a data set: `index.json`, read with every value checked, written in one step."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from policy_api.errors import InvalidSpec
from policy_api.schema import PolicySpec

from sim_train.files import write_file

FILE: Final = "index.json"
SCHEMA_VERSION: Final = 2
RECORDED: Final = "recorded"
"""The `split` of an origin whose episodes a robot recorded: their seeds are no training seeds, and where the named
object was is unknown (NaN)."""
_SHA256 = re.compile(r"[0-9a-f]{64}")


class DatasetError(ValueError):
    """A data set that cannot be used; the text names the file and says what to do."""


@dataclass(frozen=True)
class Shard:
    """One file of episodes."""

    file: str
    sha256: str
    episodes: int
    tried: int
    """Episodes, and so seeds, that were played for it; those without success are not recorded."""


@dataclass(frozen=True)
class Index:
    """What a data set is and what is in it."""

    origin: dict[str, Any]
    """How it came to be: with `tried` alone this decides every episode. Has the contract as `spec`."""
    shards: list[Shard] = field(default_factory=list)

    @property
    def episodes(self) -> int:
        """Recorded successes."""
        return sum(shard.episodes for shard in self.shards)

    @property
    def tried(self) -> int:
        """Seeds that are used up."""
        return sum(shard.tried for shard in self.shards)


def shard_name(number: int) -> str:
    """Name of a data set's shard number 0, 1, .."""
    return f"shard-{number:05d}.safetensors"


def origin_of(spec: PolicySpec, how: Mapping[str, Any]) -> dict[str, Any]:
    """The origin of a data set for contract `spec` that came to be as `how` says (plain values), as JSON has it.

    Its `split` is that of `how`, and "train" by default.
    """
    plain = {"split": "train", **how, "spec_hash": spec.spec_hash, "spec": json.loads(spec.to_json())}
    return dict(json.loads(json.dumps(plain)))


def spec_of(origin: Mapping[str, Any], path: Path) -> PolicySpec:
    """The contract in an origin read from `path`; DatasetError if it is none, or not the one of the hash beside it."""
    try:
        spec = PolicySpec.from_json(json.dumps(origin["spec"]))
        named = origin["spec_hash"]
    except (InvalidSpec, KeyError) as error:
        raise DatasetError(f"{path}: its contract cannot be read ({error}); record the data set anew") from error
    if spec.spec_hash != named:
        raise DatasetError(f"{path}: the contract is not the one that spec_hash names; record the data set anew")
    return spec


def write_index(directory: Path, index: Index) -> None:
    """Write it; whoever reads sees the old one or the new one."""
    plain = {
        "schema_version": SCHEMA_VERSION,
        "episodes": index.episodes,
        "tried": index.tried,
        "origin": index.origin,
        "shards": [vars(shard) for shard in index.shards],
    }
    write_file(directory / FILE, (json.dumps(plain, indent=2, allow_nan=False) + "\n").encode())


def read_index(directory: Path) -> Index:
    """The index of the data set in `directory`; DatasetError if there is none or it is not sound."""
    path = directory / FILE
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DatasetError(
            f"{directory} is no data set: {error.strerror or error} at {FILE}; record one with "
            "python -m sim_train.demos task=... n=..."
        ) from error
    except ValueError as error:
        raise DatasetError(f"{path} is no JSON ({error}); remove {directory} to record it anew") from error
    try:
        if plain["schema_version"] != SCHEMA_VERSION:
            raise ValueError(f"schema_version is {plain['schema_version']!r}, this version reads {SCHEMA_VERSION}")
        index = Index(dict(plain["origin"]), [_shard(i, entry) for i, entry in enumerate(plain["shards"])])
        if (index.episodes, index.tried) != (plain["episodes"], plain["tried"]):
            raise ValueError("its totals are not the sums of its shards")
    except (KeyError, TypeError, ValueError) as error:
        raise DatasetError(f"{path} is not sound ({error}); remove {directory} to record it anew") from error
    spec_of(index.origin, path)
    return index


def _shard(number: int, entry: Mapping[str, Any]) -> Shard:
    shard = Shard(**entry)
    counts = shard.episodes, shard.tried
    if shard.file != shard_name(number) or not _SHA256.fullmatch(shard.sha256):
        raise ValueError(f"shard {number} has the file {shard.file!r} and the hash {shard.sha256!r}")
    if not all(type(count) is int for count in counts) or not 0 <= shard.episodes <= shard.tried:
        raise ValueError(f"shard {number} has {shard.episodes!r} episodes of {shard.tried!r} tried")
    return shard
