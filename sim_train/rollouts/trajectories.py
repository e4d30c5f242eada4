"""What a rollout brings home: flat arrays over chunks, and one row for each trajectory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

_PREFIXES = {"images": "image:", "drawn": "drawn:"}  # of the names of what fields with several arrays hold


@dataclass(frozen=True, eq=False)
class Trajectories:
    """N trajectories with C chunks in all; chunks of one trajectory stand together, in order."""

    images: dict[str, NDArray[np.uint8]]
    """(C, S, S, 3) for each camera: what the policy saw."""
    state: NDArray[np.float32]
    """(C, 7) proprioception (rad, m)."""
    target_position: NDArray[np.float32]
    """(C, 3) where the named object was, metres in the base frame; privileged, for the auxiliary loss only."""
    actions: NDArray[np.float32]
    """(C, H, A) in physical units: what was chosen, or for a demonstration what the expert says."""
    drawn: dict[str, NDArray[np.generic]]
    """C rows each: what the policy's likelihood is computed from again (`PolicyOutput.drawn`); empty for
    demonstrations, and where a policy did not explore."""
    log_probs: NDArray[np.float32]
    """(C, H, A) of the policy that played; zero for demonstrations."""
    executed_steps: NDArray[np.int64]
    """(C,) control steps really executed, 1..H."""
    length: NDArray[np.int64]
    """(N,) chunks of each trajectory."""
    group: NDArray[np.int64]
    """(N,) index of the job that asked for it; trajectories of one job share their starting point."""
    seed: NDArray[np.int64]
    """(N,) seed of the starting point."""
    task: NDArray[np.int64]
    """(N,) index of the task among those of the run."""
    success: NDArray[np.bool_]
    """(N,) outcome."""
    version: NDArray[np.int64]
    """(N,) version of the weights that played."""
    instructions: tuple[str, ...]
    """N instructions."""

    def __len__(self) -> int:
        return len(self.length)

    @property
    def trajectory(self) -> NDArray[np.int64]:
        """(C,) index of each chunk's trajectory."""
        return np.repeat(np.arange(len(self.length)), self.length)

    def select(self, indices: Sequence[int] | NDArray[np.int64]) -> Trajectories:
        """The given trajectories, in the given order."""
        chosen = np.asarray(indices, dtype=np.int64)
        starts = np.concatenate([[0], np.cumsum(self.length)])
        rows = np.concatenate([np.arange(starts[i], starts[i + 1]) for i in chosen] or [np.arange(0)])
        values: dict[str, object] = {
            name: {key: array[rows] for key, array in getattr(self, name).items()} for name in _PREFIXES
        }
        for name in _CHUNK_FIELDS:
            values[name] = getattr(self, name)[rows]
        for name in _TRAJECTORY_FIELDS:
            values[name] = getattr(self, name)[chosen]
        values["instructions"] = tuple(self.instructions[i] for i in chosen)
        return Trajectories(**values)  # type: ignore[arg-type]

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Everything as plain arrays, for a pipe or a file; texts as UTF-8 bytes."""
        plain: dict[str, NDArray[np.generic]] = {
            prefix + key: array for name, prefix in _PREFIXES.items() for key, array in getattr(self, name).items()
        }
        plain |= {name: getattr(self, name) for name in (*_CHUNK_FIELDS, *_TRAJECTORY_FIELDS)}
        plain["instructions"] = np.frombuffer("\n".join(self.instructions).encode(), dtype=np.uint8).copy()
        return plain

    @classmethod
    def from_arrays(cls, plain: Mapping[str, NDArray[np.generic]]) -> Trajectories:
        """The inverse of `arrays`."""
        values: dict[str, object] = {
            **{
                name: {key.removeprefix(prefix): plain[key] for key in plain if key.startswith(prefix)}
                for name, prefix in _PREFIXES.items()
            },
            **{name: plain[name] for name in (*_CHUNK_FIELDS, *_TRAJECTORY_FIELDS)},
        }
        text = plain["instructions"].tobytes().decode()
        values["instructions"] = tuple(text.split("\n")) if len(plain["length"]) else ()
        return cls(**values)  # type: ignore[arg-type]


_TRAJECTORY_FIELDS = ("length", "group", "seed", "task", "success", "version")
_CHUNK_FIELDS = tuple(
    f.name for f in fields(Trajectories) if f.name not in (*_TRAJECTORY_FIELDS, *_PREFIXES, "instructions")
)


def concatenate(parts: Sequence[Trajectories]) -> Trajectories:
    """All trajectories of the parts, in order."""
    if not parts:
        raise ValueError("nothing to concatenate: no trajectories were collected")
    values: dict[str, object] = {
        name: {key: np.concatenate([getattr(part, name)[key] for part in parts]) for key in getattr(parts[0], name)}
        for name in _PREFIXES
    }
    for name in (*_CHUNK_FIELDS, *_TRAJECTORY_FIELDS):
        values[name] = np.concatenate([getattr(part, name) for part in parts])
    values["instructions"] = tuple(text for part in parts for text in part.instructions)
    return Trajectories(**values)  # type: ignore[arg-type]
