"""Pick up the cube that the instruction names: red or blue."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from sim_train.worlds.scene import Array, Box, Camera, Layout

D435_COLOR_FOVY_DEG: Final = 42.5
"""Vertical field of view of a RealSense D435's colour camera (datasheet: 69 x 42 degrees at 16:9; 4:3 keeps it)."""

_TEMPLATES: Final = (
    "pick up the {} cube",
    "grasp the {} cube",
    "lift the {} cube",
    "take the {} block",
    "pick the {} block up",
)


class PickCube:
    """Two cubes, red and blue, on a table; the named one is to be lifted.

    Done when the named cube's centre is `lift_m` above where it rests while the other one is still on the table. A cube
    can't be pushed to that height, and it does not start there.
    """

    name: Final = "pick_cube"
    max_chunks: Final = 5
    half_size: Final = 0.018
    lift_m: Final = 0.04
    x_range: Final = (0.27, 0.39)
    y_range: Final = (-0.11, 0.11)
    yaw_range: Final = (-0.25, 0.25)
    min_distance: Final = 0.075
    hover_z: Final = 0.085
    grasp_z: Final = 0.016
    step_limit: Final = 0.04

    bodies: Final = (
        Box("red", (0.018, 0.018, 0.018), 0.05, (0.85, 0.12, 0.1)),
        Box("blue", (0.018, 0.018, 0.018), 0.05, (0.1, 0.25, 0.85)),
    )
    cameras: Final = (
        Camera("front", (0.59, 0.0, 0.34), (0.32, 0.0, 0.03), (-1.0, 0.0, 1.0), D435_COLOR_FOVY_DEG),
        Camera("wrist", (0.075, 0.0, 0.02), (0.0, 0.0, 0.15), (1.0, 0.0, 0.0), D435_COLOR_FOVY_DEG, "gripper_base"),
    )

    def sample(self, seed: int) -> Layout:
        """Two cube poses on the table at least `min_distance` apart, a colour and a phrase."""
        rng = np.random.default_rng(seed)
        low, high = (self.x_range[0], self.y_range[0]), (self.x_range[1], self.y_range[1])
        while True:
            centres = rng.uniform(low, high, (2, 2))
            if np.linalg.norm(centres[0] - centres[1]) >= self.min_distance:
                break
        poses = {}
        for body, (x, y) in zip(self.bodies, centres, strict=True):
            yaw = rng.uniform(*self.yaw_range)
            turn = (float(np.cos(yaw / 2)), 0.0, 0.0, float(np.sin(yaw / 2)))
            poses[body.name] = (float(x), float(y), self.half_size, *turn)
        target = self.bodies[rng.integers(len(self.bodies))].name
        template = _TEMPLATES[rng.integers(len(_TEMPLATES))]
        return Layout(instruction=template.format(target), target=target, poses=poses)

    def success(self, object_position: dict[str, Array], target: str) -> NDArray[np.bool_]:
        """See the class: the named cube is up, the other is not. Shape (...)."""
        height = {name: position[..., 2] - self.half_size for name, position in object_position.items()}
        others_down = np.all([h < self.lift_m / 2 for name, h in height.items() if name != target], axis=0)
        return (height[target] >= self.lift_m) & others_down

    def expert(self, tcp_position: Array, opening: float, target_position: Array, horizon: int) -> Array:
        """Above the cube, down, close, up: one phase a chunk, chosen from where the tool is."""
        offset = np.asarray(target_position) - tcp_position
        above = np.hypot(offset[0], offset[1]) < 0.012
        low = tcp_position[2] < self.grasp_z + 0.012
        wide, shut = 0.07, 0.0
        if above and low and opening < 0.05:  # closed on the cube
            return self._line(np.array([0.0, 0.0, 0.1]), shut, horizon)
        if above and low:
            return self._line(np.zeros(3), shut, horizon)
        if above:
            return self._line(np.array([offset[0], offset[1], self.grasp_z - tcp_position[2]]), wide, horizon)
        return self._line(np.array([offset[0], offset[1], self.hover_z - tcp_position[2]]), wide, horizon)

    def _line(self, way: Array, opening: float, horizon: int) -> Array:
        step = np.clip(way / horizon, -self.step_limit, self.step_limit)
        return np.concatenate([np.tile(step, (horizon, 1)), np.full((horizon, 1), opening)], axis=1)
