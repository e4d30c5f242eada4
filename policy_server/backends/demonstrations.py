"""One episode of a set of demonstrations: `index.json` and shards in safetensors, as training reads them."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from policy_api.errors import InvalidSpec
from policy_api.schema import PolicySpec
from safetensors import SafetensorError
from safetensors.numpy import load

from policy_server.backends.errors import BackendError

INDEX: Final = "index.json"
_SHARD = re.compile(r"shard-\d{5}\.safetensors")


def read_episode(directory: Path, number: int) -> tuple[PolicySpec, NDArray[np.float32]]:
    """Contract, and the actions (N, A) of the steps that were executed, of episode `number` (from 0).

    Raises:
        BackendError: there is no such episode, or a file is damaged.
    """
    try:
        index = json.loads((directory / INDEX).read_text(encoding="utf-8"))
        spec = PolicySpec.from_json(json.dumps(index["origin"]["spec"]))
        shards = [(str(shard["file"]), str(shard["sha256"]), int(shard["episodes"])) for shard in index["shards"]]
    except (InvalidSpec, KeyError, OSError, TypeError, ValueError) as error:
        raise BackendError(
            f"{directory / INDEX} cannot be read ({type(error).__name__}: {error}); record the demonstrations anew"
        ) from error
    left = number
    for file, sha256, episodes in shards:
        if 0 <= left < episodes:
            return spec, _executed(_shard(directory, file, sha256), left, directory / file)
        left -= episodes
    have = sum(episodes for _, _, episodes in shards)
    raise BackendError(f"{directory} has {have} episodes, counted from 0; there is no episode {number}")


def _shard(directory: Path, file: str, sha256: str) -> dict[str, NDArray[Any]]:
    path = directory / file
    try:
        if not _SHARD.fullmatch(file):
            raise ValueError("that is no name of a shard")
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != sha256:
            raise ValueError(f"its SHA-256 is not the one that {INDEX} names")
        return load(content)
    except (OSError, SafetensorError, ValueError) as error:
        raise BackendError(f"{path} cannot be used: {error}; copy the demonstrations again") from error


def _executed(arrays: dict[str, NDArray[Any]], number: int, path: Path) -> NDArray[np.float32]:
    """Actions of the executed steps of episode `number` of a shard, one chunk behind the other."""
    try:
        length, executed, actions = arrays["length"], arrays["executed_steps"], arrays["actions"]
        begin = int(length[:number].sum())
        chunks = range(begin, begin + int(length[number]))
        return np.concatenate([actions[c, : int(executed[c])] for c in chunks]).astype(np.float32)
    except (IndexError, KeyError, ValueError) as error:
        raise BackendError(f"{path} holds no actions by chunk ({error!r}); record the demonstrations anew") from error
