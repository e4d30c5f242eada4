"""Many worlds in SAPIEN: each has a PhysX scene of its own, made anew for every episode."""

from collections.abc import Sequence
from contextlib import AbstractContextManager

import numpy as np
from numpy.typing import NDArray

from sim_train.worlds.engine import Motion
from sim_train.worlds.mujoco_engine import stack_states
from sim_train.worlds.sapien_render import SapienRenderer
from sim_train.worlds.sapien_world import SapienWorld
from sim_train.worlds.scene import Layout, Scene
from sim_train.worlds.states import States

Array = NDArray[np.float64]


class SapienEngine:
    """See `engine.Engine`. PhysX on the CPU, one thread; the renderer (Vulkan) starts with the first picture."""

    def __init__(self, worlds: int, sizes: Sequence[tuple[int, int]]) -> None:
        self._worlds: list[SapienWorld | None] = [None] * worlds
        self._renderer = SapienRenderer()

    def load(self, row: int, scene: Scene, layout: Layout, joints: Array) -> None:
        """See `engine.Engine`."""
        self._worlds[row] = SapienWorld(scene, layout, joints)

    def play(self, rows: NDArray[np.int64], ctrl: Array) -> Motion:
        """See `engine.Engine`."""
        worlds = [self._world(row) for row in rows]
        for world, targets in zip(worlds, ctrl, strict=True):
            world.play(targets)
        fault = np.array([not np.isfinite(world.played).all() for world in worlds])
        return Motion(stack_states([world.states() for world in worlds]), fault)

    def now(self, rows: NDArray[np.int64]) -> States:
        """See `engine.Engine`."""
        return stack_states([self._world(row).states(now=True) for row in rows])

    def rehearsal(self, rows: NDArray[np.int64]) -> AbstractContextManager[None]:
        """ValueError: PhysX remembers contacts that cannot be put back."""
        raise ValueError(
            "the scripted expert tries long chunks out before it plays them, which the engine sapien cannot undo; "
            "record demonstrations with the engine mujoco, or make contract.horizon less than 10"
        )

    def picture(self, row: int, camera: str, size: tuple[int, int], ticks_ago: int = 0) -> NDArray[np.uint8]:
        """See `engine.Engine`."""
        world = self._world(row)
        return self._renderer.render(world.scene, world.poses(ticks_ago), camera, size)

    def close(self) -> None:
        """See `engine.Engine`."""
        self._worlds = [None] * len(self._worlds)
        self._renderer.close()

    def _world(self, row: int) -> SapienWorld:
        world = self._worlds[row]
        if world is None:
            raise ValueError(f"world {row} has no episode yet; load one first")
        return world
