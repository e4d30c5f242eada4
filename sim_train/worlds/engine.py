"""What every physics engine offers: many worlds of a task, played a chunk at a time."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from sim_train.worlds.scene import Layout, Scene
from sim_train.worlds.states import States

Array = NDArray[np.float64]

CONTROL_DT_S: Final = 0.005
"""One control tick, seconds: the driver's 200 Hz."""


@dataclass(frozen=True, eq=False)
class Motion:
    """What happened during a chunk of T ticks in n worlds."""

    states: States
    """After each tick; leading dimensions (n, T)."""
    fault: NDArray[np.bool_]
    """(n,): the physics broke (not finite); the episode is invalid."""


class Engine(Protocol):
    """Worlds, each with its own scene. One process and thread owns an engine.

    Body positions in `States` have their z above the table. Arms are in the order of `Scene.arms`.
    """

    def load(self, row: int, scene: Scene, layout: Layout, joints: Array) -> None:
        """Begin an episode in world `row`: `scene` as laid out, arms at `joints` (arms, 7), everything at rest."""

    def play(self, rows: NDArray[np.int64], ctrl: Array) -> Motion:
        """Play `ctrl` (n, T, arms, 7), joint targets in rad and gripper openings in m, tick by tick in these worlds."""

    def now(self, rows: NDArray[np.int64]) -> States:
        """States (n,) of these worlds."""

    def rehearsal(self, rows: NDArray[np.int64]) -> AbstractContextManager[None]:
        """What is played in these worlds meanwhile is undone; ValueError if the engine cannot."""

    def picture(self, row: int, camera: str, size: tuple[int, int], ticks_ago: int = 0) -> NDArray[np.uint8]:
        """What `camera` sees in world `row` at `size` (width, height): (height, width, 3) RGB.

        `ticks_ago` goes back into the chunk played last, at most to its first tick.
        """

    def close(self) -> None:
        """Free threads, graphics contexts, scenes."""


def _mujoco(worlds: int, sizes: Sequence[tuple[int, int]], threads: int) -> Engine:
    from sim_train.worlds.mujoco_engine import MujocoEngine

    return MujocoEngine(worlds, sizes, threads)


def _sapien(worlds: int, sizes: Sequence[tuple[int, int]], threads: int) -> Engine:
    try:
        from sim_train.worlds.sapien_engine import SapienEngine
    except ImportError as error:
        raise ValueError(
            f"the engine sapien needs the package sapien ({error}): pip install 'armature[train]' on x86_64, "
            "or choose engine mujoco"
        ) from error
    return SapienEngine(worlds, sizes)


ENGINES: Final[dict[str, Callable[[int, Sequence[tuple[int, int]], int], Engine]]] = {
    "mujoco": _mujoco,
    "sapien": _sapien,
}


def make_engine(name: str, worlds: int, sizes: Sequence[tuple[int, int]], threads: int = 1) -> Engine:
    """The engine called `name` for so many worlds; `sizes` (width, height) of all pictures that will be asked for.

    `threads` is for physics, where the engine can use them. Raises ValueError for an unknown or missing engine.
    """
    if name not in ENGINES:
        raise ValueError(f"unknown engine {name!r}; expected one of {', '.join(ENGINES)}")
    return ENGINES[name](worlds, sizes, threads)
