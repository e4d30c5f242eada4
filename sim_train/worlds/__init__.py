"""Worlds: tasks, scenes and physics. No torch in here; the virtual lab runs them too."""

from sim_train.worlds.world import World

__all__ = ["World", "make_world"]


def make_world(task: str, cameras: dict[str, tuple[int, int]] | None = None) -> World:
    """A world of the task called `task` with the given cameras (name to width, height)."""
    return World(task, cameras)
