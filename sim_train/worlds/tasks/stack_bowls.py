"""Put the bowl that the instruction names into the other one: green or yellow."""

from functools import cached_property

import numpy as np

from sim_train.worlds.judge import Conditions
from sim_train.worlds.objects.bowl import HEIGHT_M, NEST_M, RIM_RADIUS_M, WALL_M, bowl
from sim_train.worlds.scene import Scene
from sim_train.worlds.states import States
from sim_train.worlds.task import (
    FRONT_CAMERA,
    OPEN_M,
    SHUT_M,
    UP,
    WRIST_CAMERA,
    Array,
    ExpertView,
    Task,
    Wordings,
    apart,
    path,
    upright,
)

COLOURS = {"green": (0.2, 0.6, 0.3), "yellow": (0.9, 0.75, 0.15)}
UPRIGHT = np.cos(np.radians(10.0))
"""Least cosine of a standing bowl's tilt."""
REST_M_S = 0.02
"""Highest speed of what is at rest."""
GRASP_Z, HOVER_Z, CARRY_Z = HEIGHT_M - 0.011, HEIGHT_M + 0.03, 0.07
"""Heights, m: of the tool over the bowl's base when it holds the rim and when it is free of it; of a carried bowl."""
NEAR_M = 0.03
"""From this near the tool goes on without stopping above."""
RIM_M = RIM_RADIUS_M - WALL_M / 2
"""Distance of the wall that is held from the bowl's middle."""


class StackBowls(Task):
    """Two equal bowls, green and yellow, on a table; the named one is to be put into the other one.

    Done when the named bowl sits inside the other one, both upright and at rest, the other one on the table, and the
    gripper is off both.
    """

    name = "stack_bowls"
    wordings = Wordings(
        train=(
            "put the {} bowl into the other one",
            "stack the {} bowl on the other bowl",
            "place the {} bowl inside the other one",
            "pick up the {} bowl and stack it in the other bowl",
            "move the {} bowl into the other bowl",
        ),
        held_out=(
            "stack the {} bowl inside the other one",
            "put the {} bowl inside the other bowl",
            "pick up the {} bowl and put it into the other one",
            "move the {} bowl and stack it on the other one",
        ),
    )
    max_chunks = 10
    hold_s = 0.2
    manner = "carry"
    fooled_by = (
        "stacking the other bowl into the named one",
        "pushing one bowl against the other",
        "holding the bowl in the other one",
        "a bowl that leans on the other one's rim",
        "a bowl upside down over the other one",
        "a bowl that drops past",
        "a stack in the air",
    )

    def __init__(self, distance_m: float = 0.13, spread: float = 1.0) -> None:
        """Knobs: least `distance_m` of the bowls' middles; `spread` of both (1: 12 x 24 cm)."""
        self.distance_m, self.spread = distance_m, spread

    @cached_property
    def _scene(self) -> Scene:
        return Scene(tuple(bowl(name, rgb) for name, rgb in COLOURS.items()), (FRONT_CAMERA, WRIST_CAMERA))

    def scene(self) -> Scene:
        """Two bowls, the single-arm rig."""
        return self._scene

    def place(self, rng: np.random.Generator) -> tuple[str, str, dict[str, tuple[float, ...]]]:
        """Two bowls apart."""
        middle, half = np.array([0.32, 0.0]), np.array([0.06, 0.12]) * self.spread
        centres = apart(rng, 2, middle - half, middle + half, self.distance_m)
        poses = {name: upright(x, y, rng.uniform(-np.pi, np.pi)) for name, (x, y) in zip(COLOURS, centres, strict=True)}
        target = list(COLOURS)[rng.integers(2)]
        return target, target, poses

    def conditions(self, states: States, target: str) -> Conditions:
        """See the class."""
        low = _other(target)
        place, tool = states.position(target), states.tcp[..., 0, :]
        gap = place - states.position(low)
        inside = np.linalg.norm(gap[..., :2], axis=-1) <= 0.012
        inside &= (gap[..., 2] >= NEST_M - 0.01) & (gap[..., 2] <= NEST_M + 0.01)
        stand = (states.up(target) >= UPRIGHT) & (states.up(low) >= UPRIGHT)
        stand &= (states.speed(target) <= REST_M_S) & (states.speed(low) <= REST_M_S)
        stand &= np.abs(states.position(low)[..., 2]) <= 0.006
        reach = tool - place
        beside = np.linalg.norm(reach[..., :2], axis=-1)
        free = (reach[..., 2] >= HEIGHT_M + 0.012) | (beside >= RIM_RADIUS_M + 0.06)
        held = (np.abs(beside - RIM_M) <= 0.03) & (np.abs(reach[..., 2] - HEIGHT_M / 2) <= HEIGHT_M)
        carried = (place[..., 2] >= 0.03) & (states.up(target) >= 0.8) & held & (states.opening[..., 0] < 0.02)
        return Conditions(done=inside & stand & free, carried=carried)

    def expert(self, view: ExpertView) -> Array:
        """Over the rim; down and close; up and across; down and open; up: chosen from where bowls and tool are."""
        tcp, states, size, steps = view.tcp[0], view.states, view.scales.get(view.target, 1.0), view.horizon
        place, goal = states.position(view.target), states.position(_other(view.target))
        way = (goal - place) * (1.0 - UP)
        nested = np.linalg.norm(way) < 0.012 and place[2] < NEST_M * size + 0.008
        reach = states.tcp[0] - place
        holds = abs(abs(reach[1]) - RIM_M * size) < 0.02 and abs(reach[0]) < 0.02 and view.opening[0] < 0.03
        holds &= -0.02 < reach[2] - GRASP_Z * size < (0.02 if place[2] > 0.01 else 0.009)  # not by the very edge
        side = np.sign(reach[1]) if holds else (1.0 if place[1] > goal[1] else -1.0)
        rim = place + np.array([0.0, side * RIM_M * size, 0.0])
        grasp, hover = rim + GRASP_Z * size * UP, rim + HOVER_Z * size * UP
        if nested:
            up = np.array([tcp[0], tcp[1], hover[2]])
            return path(tcp, [(tcp, OPEN_M), (up, OPEN_M)] if holds else [(up, OPEN_M)], steps)
        if holds and np.abs(way).max() < NEAR_M / 2 and 0.8 * CARRY_Z < place[2] < 1.3 * CARRY_Z:
            over, fall = tcp + way, (place[2] - NEST_M * size - 0.002) * UP
            return path(tcp, [(over, SHUT_M), (over - fall, SHUT_M), (over - fall, OPEN_M)], steps)
        if holds:
            up = tcp + (CARRY_Z - place[2]) * UP
            points = [(up, SHUT_M), (up + way, SHUT_M)]
            return path(tcp, points if place[2] < 0.8 * CARRY_Z else points[1:], steps)
        if np.abs(tcp - hover).max() < NEAR_M:
            return path(tcp, [(hover, OPEN_M), (grasp, OPEN_M), (grasp, SHUT_M)], steps)
        over = np.array([tcp[0], tcp[1], hover[2]])
        return path(tcp, [(over, OPEN_M), (hover, OPEN_M)] if tcp[2] < hover[2] - 0.02 else [(hover, OPEN_M)], steps)


def _other(target: str) -> str:
    """The bowl that is not meant."""
    return next(name for name in COLOURS if name != target)
