"""What all servers of the benchmark are asked: two 640x480 pictures and seven numbers in, 50 steps of 7 out."""

import math
from typing import Final

from policy_api.schema import CameraSpec, FieldSpec, PolicySpec

HORIZON: Final = 50
CAMERAS: Final = ("front", "wrist")
WIDTH, HEIGHT, INPUT_SIZE, QUALITY = 640, 480, 224, 90
JOINTS: Final = 7


def contract(model: str = "bench") -> PolicySpec:
    """The contract of the trivial policies."""
    joints = (
        *(FieldSpec(f"joint{i}", "rad", -math.pi, math.pi) for i in range(1, JOINTS)),
        FieldSpec("gripper", "m", 0.0, 0.07),
    )
    return PolicySpec(
        model=model,
        cameras=tuple(CameraSpec(name, WIDTH, HEIGHT, INPUT_SIZE, QUALITY) for name in CAMERAS),
        state=joints,
        action_space="joint_position",
        action=joints,
        horizon=HORIZON,
        dt_s=0.02,
        settle_s=0.0,
        firmware_zero="current",
        task="bench",
    )
