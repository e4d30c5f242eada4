"""How an episode was done, told from what moved and not from what was chosen: carried, pushed, pressed.

A policy that learns from success alone finds strategies that nobody has shown it ("pushcut" in SimpleVLA-RL,
arXiv 2509.09674). A `Course` follows the body that the instruction names through the simulation's states and gives its
strategy one of a handful of names, the same for every task, engine and player.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from sim_train.worlds.scene import Layout, Scene
from sim_train.worlds.shapes import Body, Shape
from sim_train.worlds.states import States

Array = NDArray[np.float64]

CARRIED_M: Final = 0.02
"""Way in a gripper, off the table, from which on a thing was carried."""
PUSHED_M: Final = 0.03
"""Way on the table beside a gripper from which on it was pushed; fingers that close on it move it less."""
LOOSE_M: Final = 0.03
"""Way with no gripper near from which on it moved by itself: slid, rolled, fell, or was hit by something else."""
LEAST_SHARE: Final = 0.25
"""What is less than this of a thing's whole way says nothing about how it was done: a nudge, a slip."""
OTHER_M: Final = 0.03
"""Way of another body from which on that was moved, too."""
NEAR_M: Final = 0.05
"""From the tool centre point to the thing's bounding box: half of an open gripper and a finger."""
OFF_TABLE_M: Final = 0.008
"""Height of its lowest corner from which on a thing is off the table."""
PRESSED: Final = 0.5
"""Share of its range by which a button must be down to be pressed."""
CLOSED_M: Final = 0.015
"""Opening below which a gripper is closed."""
_KINDS: Final = ("carried", "pushed", "loose")
_ENOUGH_M: Final = np.array([CARRIED_M, PUSHED_M, LOOSE_M])


class Course:
    """What became of the body that the instruction names, in one episode.

    Args:
        scene: the episode's.
        layout: where everything stands at the start, and which body is meant.
    """

    def __init__(self, scene: Scene, layout: Layout) -> None:
        self._target = layout.target
        self._low, self._high = bounding_box(scene.body(layout.target))
        self._start = {body.name: np.array(layout.poses[body.name][:3]) for body in scene.bodies if body.slide is None}
        self._at = self._start[layout.target]
        self._buttons = {
            body.name: body.slide.range_m
            for body in scene.bodies
            if body.slide is not None and body.slide.parent == layout.target
        }
        self._pressed: str | None = None
        self._arms_m = np.zeros(len(scene.arms))
        self._others_m = 0.0
        self.way_m: Array = np.zeros(len(_KINDS))
        """Metres carried, pushed and loose."""
        self._order: list[int] = []
        """Kinds that have exceeded their way, in the order in which they did."""

    def follow(self, states: States) -> None:
        """Go on with the next T ticks; leading dimensions (T,), T at least 1."""
        at = states.position(self._target)
        way = np.linalg.norm(np.diff(at, axis=0, prepend=self._at[None]), axis=-1)
        self._at = at[-1]
        near = self._distances(states) <= NEAR_M
        held = near.any(axis=-1)
        off = lowest_corner(states, self._target, self._low, self._high) >= OFF_TABLE_M
        kinds = np.stack([held & off, held & ~off, ~held])
        sums = self.way_m[:, None] + np.cumsum(kinds * way, axis=-1)
        reached = sums >= _ENOUGH_M[:, None]
        new = [int(kind) for kind in np.flatnonzero(reached[:, -1]) if kind not in self._order]
        self._order += sorted(new, key=lambda kind: int(reached[kind].argmax()))
        self.way_m = sums[:, -1]
        self._arms_m += ((near & off[:, None]) * way[:, None]).sum(axis=0)
        self._press(states)
        others = [states.position(name) - start for name, start in self._start.items() if name != self._target]
        self._others_m = max([self._others_m, *(float(np.linalg.norm(each, axis=-1).max()) for each in others)])

    @property
    def strategy(self) -> str:
        """Its name, as in "pushed, then carried" or "pressed with closed gripper"; "reached" if nothing was moved."""
        names = ("carried", "pushed", "moved by itself")
        if len(self._arms_m) > 1:
            arms = int((self._arms_m >= CARRIED_M).sum())
            names = (f"carried by {arms} arm{'s' if arms != 1 else ''}", *names[1:])
        told = [names[kind] for kind in self._order if self.way_m[kind] >= LEAST_SHARE * self.way_m.sum()]
        if self._pressed:
            told.append(f"pressed with {self._pressed} gripper")
        name = ", then ".join(told) or "reached"
        return f"{name}; moved something else, too" if self._others_m >= OTHER_M else name

    def _distances(self, states: States) -> Array:
        """(T, arms) m: from each tool centre point to the body's bounding box."""
        tools = [states.seen_from(self._target, states.tcp[:, arm]) for arm in range(states.joints.shape[1])]
        outside = [np.maximum(np.maximum(self._low - tool, tool - self._high), 0.0) for tool in tools]
        return np.stack([np.linalg.norm(gap, axis=-1) for gap in outside], axis=-1)

    def _press(self, states: States) -> None:
        for name, (low, high) in self._buttons.items():
            down = np.flatnonzero(states.slide[name] >= low + PRESSED * (high - low))
            if len(down) and self._pressed is None:
                self._pressed = "closed" if states.opening[down[0]].min() < CLOSED_M else "open"


def bounding_box(body: Body) -> tuple[Array, Array]:
    """Lowest and highest corner, (3,) each, m, in the body's frame."""
    low, high = np.full(3, np.inf), np.full(3, -np.inf)
    for shape in body.shapes:
        if shape.mesh is not None:
            corners = np.array([shape.mesh.vertices.min(axis=0), shape.mesh.vertices.max(axis=0)], dtype=np.float64)
        else:
            half = _half_extents(shape)
            corners = np.array([-half, half])
        every = np.array(np.meshgrid(*corners.T)).reshape(3, -1).T
        w, axis = shape.quaternion[0], np.array(shape.quaternion[1:])
        twice = 2.0 * np.cross(axis, every)
        placed = every + w * twice + np.cross(axis, twice) + np.asarray(shape.position)
        low, high = np.minimum(low, placed.min(axis=0)), np.maximum(high, placed.max(axis=0))
    return low, high


def _half_extents(shape: Shape) -> Array:
    """(3,) m, of a primitive."""
    first = shape.size[0]
    if shape.kind == "box":
        return np.array(shape.size)
    beyond = {"sphere": first, "cylinder": shape.size[-1], "capsule": shape.size[-1] + first}[shape.kind]
    return np.array([first, first, beyond])


def lowest_corner(states: States, body: str, low: Array, high: Array) -> Array:
    """(...): height of the lowest corner of a body's bounding box above the table, m."""
    corners = np.array(np.meshgrid(*np.stack([low, high], axis=1))).reshape(3, -1).T
    heights = np.stack([states.point(body, corner)[..., 2] for corner in corners])
    lowest: Array = heights.min(axis=0)
    return lowest
