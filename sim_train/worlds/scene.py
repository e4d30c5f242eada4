"""What a task looks like, free of any engine: bodies on a table, cameras, one episode's layout."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Box:
    """A free box: half extents (m), mass (kg), colour (r g b in 0..1)."""

    name: str
    half_size: tuple[float, float, float]
    mass: float
    rgb: tuple[float, float, float]


@dataclass(frozen=True)
class Camera:
    """A pinhole camera. `position` and `look_at` in metres, in the frame of `mount` (a body name, or "" for the base).

    `up` is the direction that points up in the picture, same frame; `fovy_deg` the vertical field of view.
    """

    name: str
    position: tuple[float, float, float]
    look_at: tuple[float, float, float]
    up: tuple[float, float, float]
    fovy_deg: float
    mount: str = ""


@dataclass(frozen=True)
class Layout:
    """One episode: the pose of every body at the start, and what is asked.

    `poses[name]` is (x y z qw qx qy qz) in the base frame; `target` the body the instruction names.
    """

    instruction: str
    target: str
    poses: Mapping[str, tuple[float, ...]]


class Task(Protocol):
    """A task: what is on the table, what is asked, when it is done, and how a script would do it."""

    @property
    def name(self) -> str:
        """What it is called in configurations."""

    @property
    def bodies(self) -> tuple[Box, ...]:
        """Everything that can be moved."""

    @property
    def cameras(self) -> tuple[Camera, ...]:
        """Every camera of the rig."""

    @property
    def max_chunks(self) -> int:
        """Chunks after which an episode ends."""

    def sample(self, seed: int) -> Layout:
        """Layout of the episode with this seed; the same seed gives the same layout on every machine."""

    def success(self, object_position: dict[str, Array], target: str) -> NDArray[np.bool_]:
        """Whether the task is done, shape (...), from every body's position (..., 3) in the base frame."""

    def expert(self, tcp_position: Array, opening: float, target_position: Array, horizon: int) -> Array:
        """Next action chunk (horizon, 4) of the script: dx dy dz in m and gripper opening in m."""
