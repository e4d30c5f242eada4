"""One file per task."""

import inspect
from typing import Final

from sim_train.worlds.task import Task
from sim_train.worlds.tasks.click_bell import ClickBell
from sim_train.worlds.tasks.handover_block import HandoverBlock
from sim_train.worlds.tasks.lift_pot import LiftPot
from sim_train.worlds.tasks.pick_bottle import PickBottle
from sim_train.worlds.tasks.pick_cube import PickCube
from sim_train.worlds.tasks.place_empty_cup import PlaceEmptyCup
from sim_train.worlds.tasks.push_cube import PushCube
from sim_train.worlds.tasks.reach_target import ReachTarget
from sim_train.worlds.tasks.stack_bowls import StackBowls

TASKS: Final[dict[str, type[Task]]] = {
    task.name: task
    for task in (
        ReachTarget,
        PushCube,
        PickCube,
        ClickBell,
        PickBottle,
        PlaceEmptyCup,
        StackBowls,
        HandoverBlock,
        LiftPot,
    )
}


AND: Final = "+"
"""Between the names of tasks that one policy does: "pick_cube+push_cube"."""


def task_names(task: str) -> tuple[str, ...]:
    """The tasks that "pick_cube+push_cube" or "pick_cube" names, in order; ValueError if one is named twice."""
    names = tuple(task.split(AND))
    if len(set(names)) != len(names):
        raise ValueError(f"{task!r} names a task twice; name each once")
    return names


def knobs_of(name: str) -> tuple[str, ...]:
    """The difficulty knobs of the task called `name`; ValueError lists the tasks that there are."""
    if name not in TASKS:
        raise ValueError(f"unknown task {name!r}; expected one of {', '.join(sorted(TASKS))}")
    return tuple(knob for knob in inspect.signature(TASKS[name].__init__).parameters if knob != "self")


def make_task(name: str, **knobs: float | int | bool | str) -> Task:
    """The task called `name` with its difficulty knobs; ValueError lists the tasks, or the knobs, that there are."""
    known = knobs_of(name)
    if unknown := sorted(knobs.keys() - set(known)):
        raise ValueError(f"task {name!r} has no knob {unknown[0]!r}; it has {', '.join(known) or 'none'}")
    return TASKS[name](**knobs)
