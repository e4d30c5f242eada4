"""One file per task."""

from collections.abc import Callable

from sim_train.worlds.scene import Task
from sim_train.worlds.tasks.pick_cube import PickCube

TASKS: dict[str, Callable[[], Task]] = {PickCube.name: PickCube}


def make_task(name: str) -> Task:
    """The task called `name`; ValueError lists the names there are."""
    if name not in TASKS:
        raise ValueError(f"unknown task {name!r}; expected one of {sorted(TASKS)}")
    return TASKS[name]()
