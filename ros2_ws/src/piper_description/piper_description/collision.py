"""Shapes of the arm for checks of clearance: capsules and boxes around the shapes of `piper_mjcf`.

Frames are those of `link_transforms`. The gripper's capsule is round, so that neither joint 6 nor the opening matters.
Upper arm and forearm are no pair: the range of joint 3 keeps them apart.
"""

from dataclasses import dataclass
from typing import Final

from piper_description.kinematics import FINGER_ORIGIN_M

Point = tuple[float, float, float]


@dataclass(frozen=True)
class Capsule:
    """All points within `radius` of the segment from `start` to `end`, m, in the frame of `link` (0: base, 1..6)."""

    link: int
    start: Point
    end: Point
    radius: float


BASE: Final = Capsule(0, (0.0, 0.0, 0.0), (0.0, 0.0, 0.105), 0.060)
"""The column that carries the shoulder."""
SHOULDER: Final = Capsule(2, (0.0, 0.0, -0.045), (0.0, 0.0, 0.045), 0.042)
UPPER_ARM: Final = Capsule(2, (0.0, 0.0, 0.0), (0.285, 0.0, 0.0), 0.034)
FOREARM: Final = Capsule(3, (-0.015, -0.03, 0.0), (-0.022, -0.276, 0.0), 0.033)
"""Reaches 25 mm beyond the middle of the wrist, as link 4 does."""
WRIST: Final = Capsule(5, (0.0, 0.0, 0.0), (0.0, -0.091, 0.0), 0.032)
GRIPPER: Final = Capsule(6, (0.0, 0.0, 0.01), (0.0, 0.0, 0.115), 0.060)

CAPSULES: Final = {
    "base": BASE,
    "shoulder": SHOULDER,
    "upper arm": UPPER_ARM,
    "forearm": FOREARM,
    "wrist": WRIST,
    "gripper": GRIPPER,
}

SELF_COLLISION_PAIRS: Final = (
    ("base", "forearm"),
    ("base", "wrist"),
    ("base", "gripper"),
    ("shoulder", "forearm"),
    ("shoulder", "wrist"),
    ("shoulder", "gripper"),
    ("upper arm", "wrist"),
    ("upper arm", "gripper"),
)


@dataclass(frozen=True)
class ToolBox:
    """A box on the flange, aligned with link 6: its middle at `z` and its half sizes, m."""

    z: float
    half: Point


PALM: Final = ToolBox(0.035, (0.025, 0.05, 0.03))
FINGERS: Final = ToolBox(FINGER_ORIGIN_M - 0.028, (0.011, 0.047, 0.033))
"""Around both fingers at their widest."""
WRIST_RADIUS: Final = 0.042
"""Ball around the middle of the wrist that holds the front end of link 4, m."""
