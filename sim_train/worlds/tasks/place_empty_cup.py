"""Put the empty cup upright on the coaster."""

from functools import cached_property

import numpy as np

from sim_train.worlds.judge import Conditions
from sim_train.worlds.objects.coaster import coaster
from sim_train.worlds.objects.cup import HEIGHT_M, cup
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

CUP, COASTER = "cup", "coaster"
UPRIGHT = np.cos(np.radians(10.0))
"""Least cosine of a standing cup's tilt."""
REST_M_S = 0.02
"""Highest speed of what is at rest."""
GRASP_Z, HOVER_Z = 0.045, 0.1
"""Heights of the tool over the cup's base, m: when it holds the cup, and when it is free of it."""
CARRY_Z = 0.06
"""Height of the cup while it is carried, m."""
NEAR_M = 0.03
"""From this near the tool goes on without stopping above."""


class PlaceEmptyCup(Task):
    """A cup and a coaster on a table.

    Done when the cup stands upright and at rest on the table, the middle of its base within `tolerance_m` of the
    coaster's middle, with the gripper open and off it.
    """

    name = "place_empty_cup"
    wordings = Wordings(
        train=(
            "put the empty {} on the coaster",
            "place the {} upright on the coaster",
            "pick up the {} and set it down on the coaster",
            "move the empty {} to the coaster",
            "take the {} and place it on the coaster",
        ),
        held_out=(
            "place the empty {} on the coaster",
            "take the empty {} and put it down on the coaster",
            "move the {} to the coaster and set it upright",
            "pick the {} up and put it on the coaster",
        ),
    )
    max_chunks = 10
    hold_s = 0.2
    fooled_by = (
        "pushing the cup onto the coaster",
        "holding the cup over the coaster",
        "letting go without moving away",
        "a cup that lies on the coaster",
        "a cup upside down on the coaster",
        "a cup that slides across the coaster",
        "a cup on the coaster's edge",
    )

    def __init__(
        self, tolerance_m: float = 0.02, distance_m: float = 0.12, spread: float = 1.0, manner: str = "carry"
    ) -> None:
        """Knobs: `tolerance_m`; least `distance_m` of cup and coaster; `spread` of both (1: 14 x 30 cm); `manner`."""
        self.tolerance_m, self.distance_m, self.spread, self.manner = tolerance_m, distance_m, spread, manner

    @cached_property
    def _scene(self) -> Scene:
        bodies = (cup(CUP, (0.85, 0.3, 0.2)), coaster(COASTER, (0.25, 0.35, 0.5)))
        return Scene(bodies, (FRONT_CAMERA, WRIST_CAMERA))

    def scene(self) -> Scene:
        """Cup and coaster, the single-arm rig."""
        return self._scene

    def place(self, rng: np.random.Generator) -> tuple[str, str, dict[str, tuple[float, ...]]]:
        """Cup and coaster apart; the cup's handle away from the arm, give or take 30 degrees."""
        middle, half = np.array([0.32, 0.0]), np.array([0.07, 0.15]) * self.spread
        (cup_x, cup_y), (x, y) = apart(rng, 2, middle - half, middle + half, self.distance_m)
        poses = {CUP: upright(cup_x, cup_y, rng.uniform(-0.5, 0.5)), COASTER: upright(x, y)}
        return CUP, CUP, poses

    def conditions(self, states: States, target: str) -> Conditions:
        """See the class."""
        place, tool = states.position(CUP), states.tcp[..., 0, :]
        off_middle = np.linalg.norm((place - states.position(COASTER))[..., :2], axis=-1)
        stands = (states.up(CUP) >= UPRIGHT) & (np.abs(place[..., 2]) <= 0.006) & (states.speed(CUP) <= REST_M_S)
        reach = tool - place
        beside = np.linalg.norm(reach[..., :2], axis=-1)
        free = (states.opening[..., 0] >= 0.06) & ((reach[..., 2] >= HEIGHT_M + 0.012) | (beside >= 0.09))
        held = (beside <= 0.06) & (reach[..., 2] > 0.0) & (reach[..., 2] < HEIGHT_M + 0.02)
        carried = (place[..., 2] >= 0.03) & held & (states.opening[..., 0] < 0.065)
        return Conditions(done=stands & (off_middle <= self.tolerance_m) & free, carried=carried)

    def expert(self, view: ExpertView) -> Array:
        """Over the cup; down and close; up and across; down and open; up: chosen from where cup and tool are."""
        tcp, states, size, steps = view.tcp[0], view.states, view.scales.get(CUP, 1.0), view.horizon
        place = states.position(CUP)
        grasp = place + GRASP_Z * size * UP
        hover = place + HOVER_Z * size * UP
        over = np.array([tcp[0], tcp[1], hover[2]])
        way = (states.position(COASTER) - place) * (1.0 - UP)
        off = np.abs(states.tcp[0] - grasp)  # of the arm as it is: it lags behind its commands
        holds = off.max() < 0.02 and view.opening[0] < 0.06
        if np.linalg.norm(way) < 0.8 * self.tolerance_m and place[2] < 0.008:
            wait = [(tcp, OPEN_M)] * (3 if view.opening[0] < 0.04 else 1 if holds else 0)  # the fingers take their time
            return path(tcp, [*wait, (over + 0.02 * UP, OPEN_M)], steps)
        if holds and np.abs(way).max() < NEAR_M / 2 and 0.3 * CARRY_Z < place[2] < 1.4 * CARRY_Z:
            down = tcp + way - (place[2] - 0.001) * UP
            return path(tcp, [(tcp + way, SHUT_M), (down, SHUT_M), (down, OPEN_M)], steps)
        if holds:
            up = tcp + (CARRY_Z - place[2]) * UP
            points = [(up, SHUT_M), (up + way, SHUT_M)]
            return path(tcp, points if place[2] < 0.5 * CARRY_Z else points[1:], steps)
        if np.abs(tcp - hover).max() < NEAR_M:
            return path(tcp, [(hover, OPEN_M), (grasp, OPEN_M), (grasp, SHUT_M)], steps)
        return path(tcp, [(over, OPEN_M), (hover, OPEN_M)] if tcp[2] < hover[2] - 0.02 else [(hover, OPEN_M)], steps)
