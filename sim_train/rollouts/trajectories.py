"""What a rollout brings home: flat arrays over chunks, and one row for each trajectory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

_IMAGE = "image:"


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
    tokens: NDArray[np.int64]
    """(C, H, A) the tokens of the actions."""
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
        values: dict[str, object] = {"images": {name: image[rows] for name, image in self.images.items()}}
        for name in _CHUNK_FIELDS:
            values[name] = getattr(self, name)[rows]
        for name in _TRAJECTORY_FIELDS:
            values[name] = getattr(self, name)[chosen]
        values["instructions"] = tuple(self.instructions[i] for i in chosen)
        return Trajectories(**values)  # type: ignore[arg-type]

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Everything as plain arrays, for a pipe or a file; texts as UTF-8 bytes."""
        plain: dict[str, NDArray[np.generic]] = {_IMAGE + name: image for name, image in self.images.items()}
        plain |= {name: getattr(self, name) for name in (*_CHUNK_FIELDS, *_TRAJECTORY_FIELDS)}
        plain["instructions"] = np.frombuffer("\n".join(self.instructions).encode(), dtype=np.uint8).copy()
        return plain

    @classmethod
    def from_arrays(cls, plain: Mapping[str, NDArray[np.generic]]) -> Trajectories:
        """The inverse of `arrays`."""
        values: dict[str, object] = {
            "images": {name.removeprefix(_IMAGE): plain[name] for name in plain if name.startswith(_IMAGE)},
            **{name: plain[name] for name in (*_CHUNK_FIELDS, *_TRAJECTORY_FIELDS)},
        }
        text = plain["instructions"].tobytes().decode()
        values["instructions"] = tuple(text.split("\n")) if len(plain["length"]) else ()
        return cls(**values)  # type: ignore[arg-type]


_TRAJECTORY_FIELDS = ("length", "group", "seed", "success", "version")
_CHUNK_FIELDS = tuple(
    f.name for f in fields(Trajectories) if f.name not in (*_TRAJECTORY_FIELDS, "images", "instructions")
)


def concatenate(parts: Sequence[Trajectories]) -> Trajectories:
    """All trajectories of the parts, in order."""
    if not parts:
        raise ValueError("nothing to concatenate: no trajectories were collected")
    values: dict[str, object] = {
        "images": {name: np.concatenate([part.images[name] for part in parts]) for name in parts[0].images}
    }
    for name in (*_CHUNK_FIELDS, *_TRAJECTORY_FIELDS):
        values[name] = np.concatenate([getattr(part, name) for part in parts])
    values["instructions"] = tuple(text for part in parts for text in part.instructions)
    return Trajectories(**values)  # type: ignore[arg-type]
