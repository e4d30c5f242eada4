"""How near the arm is to itself and to a table, for one pose at a time, in plain floats (a few microseconds).

Joints 2 and 3 move in a plane that turns with joint 1. Coordinates here are those of that plane: r forward, y to its
left, z up, m. Shapes are those of `piper_description.collision`.
"""

from math import cos, sin, sqrt
from typing import NamedTuple

from piper_description import FirmwareZero
from piper_description.collision import (
    BASE,
    CAPSULES,
    FINGERS,
    FOREARM,
    GRIPPER,
    PALM,
    SELF_COLLISION_PAIRS,
    SHOULDER,
    UPPER_ARM,
    WRIST_RADIUS,
)
from piper_description.kinematics import _A, _D, FINGER_ORIGIN_M, THETA_OFFSET

Floats = list[float]

_OFFSET_2, _OFFSET_3 = (float(v) for v in THETA_OFFSET[FirmwareZero.CURRENT][1:3])
_SHOULDER_Z, _UPPER, _WRIST_X, _WRIST_Y, _FLANGE = _D[0], _A[2], _A[3], _D[3], _D[5]
_TCP = _FLANGE + FINGER_ORIGIN_M

_TO_GRIPPER = _FLANGE + GRIPPER.end[2]
SELF_LEVERS_M = (
    sqrt(_WRIST_X**2 + _WRIST_Y**2) + _UPPER + _TO_GRIPPER,
    sqrt(_WRIST_X**2 + _WRIST_Y**2) + _TO_GRIPPER,
    _TO_GRIPPER,
    _TO_GRIPPER,
)
"""Metres by which a radian of joints 2, 3, 4, 5 changes a distance between two capsules at most."""


class ToolPose(NamedTuple):
    """Tool centre point x, y, z in the base frame, and the lowest points (z) of fingers and of palm and wrist, m."""

    x: float
    y: float
    z: float
    fingers_z: float
    body_z: float


def tool_pose(q: Floats) -> ToolPose:
    """Of joint angles (6,) or more, rad."""
    q1, q2, q3, q4, q5, q6 = q[:6]
    turn2, turn3 = q2 + _OFFSET_2, q2 + q3 + _OFFSET_2 + _OFFSET_3
    c3, s3, c4, s4, c5, s5, c6, s6 = cos(turn3), sin(turn3), cos(q4), sin(q4), cos(q5), sin(q5), cos(q6), sin(q6)
    wrist_r = _UPPER * cos(turn2) + _WRIST_X * c3 + _WRIST_Y * s3
    wrist_z = _SHOULDER_Z - _UPPER * sin(turn2) - _WRIST_X * s3 + _WRIST_Y * c3
    axis_z = c5 * c3 - s5 * c4 * s3
    r = wrist_r + _TCP * (s5 * c4 * c3 + c5 * s3)
    y = _TCP * s5 * s4
    z = wrist_z + _TCP * axis_z
    # z components of link 6's x and y axes
    x5_z, z5_z = -c5 * c4 * s3 - s5 * c3, s4 * s3
    x6_z, y6_z, steep = abs(c6 * x5_z + s6 * z5_z), abs(c6 * z5_z - s6 * x5_z), abs(axis_z)
    finger, palm = FINGERS.half, PALM.half
    fingers_z = z + (FINGERS.z - FINGER_ORIGIN_M) * axis_z - finger[0] * x6_z - finger[1] * y6_z - finger[2] * steep
    palm_z = z + (PALM.z - FINGER_ORIGIN_M) * axis_z - palm[0] * x6_z - palm[1] * y6_z - palm[2] * steep
    c1, s1 = cos(q1), sin(q1)
    return ToolPose(r * c1 - y * s1, r * s1 + y * c1, z, fingers_z, min(palm_z, wrist_z - WRIST_RADIUS))


def self_clearance(q: Floats) -> float:
    """Smallest distance between two links, m, negative in collision, for joint angles (6,) or more, rad."""
    _, q2, q3, q4, q5 = q[:5]
    turn2, turn3 = q2 + _OFFSET_2, q2 + q3 + _OFFSET_2 + _OFFSET_3
    c2, s2, c3, s3, s5 = cos(turn2), sin(turn2), cos(turn3), sin(turn3), sin(q5)
    elbow_r, elbow_z = _UPPER * c2, _SHOULDER_Z - _UPPER * s2
    wrist = (elbow_r + _WRIST_X * c3 + _WRIST_Y * s3, 0.0, elbow_z - _WRIST_X * s3 + _WRIST_Y * c3)
    side = s5 * cos(q4)
    c5 = cos(q5)
    axis = (side * c3 + c5 * s3, s5 * sin(q4), c5 * c3 - side * s3)
    (x1, y1, _), (x2, y2, _) = FOREARM.start, FOREARM.end
    forearm = (elbow_r + x1 * c3 - y1 * s3, 0.0, elbow_z - x1 * s3 - y1 * c3)
    along_forearm = ((x2 - x1) * c3 - (y2 - y1) * s3, 0.0, -(x2 - x1) * s3 - (y2 - y1) * c3)
    ax, ay, az = axis
    near, long = _FLANGE + GRIPPER.start[2], GRIPPER.end[2] - GRIPPER.start[2]
    gripper = (wrist[0] + ax * near, ay * near, wrist[2] + az * near)
    at = {
        "base": _BASE,
        "shoulder": _SHOULDER,
        "upper arm": ((0.0, 0.0, _SHOULDER_Z), (UPPER_ARM.end[0] * c2, 0.0, -UPPER_ARM.end[0] * s2)),
        "forearm": (forearm, along_forearm),
        "wrist": (wrist, (ax * _FLANGE, ay * _FLANGE, az * _FLANGE)),
        "gripper": (gripper, (ax * long, ay * long, az * long)),
    }
    least = 9.0
    for a, b, radii in _PAIRS:
        room = segment_distance(*at[a], *at[b]) - radii
        if room < least:
            least = room
    return least


Vector = tuple[float, float, float]
_BASE = (BASE.start, (0.0, 0.0, BASE.end[2]))
_SHOULDER = ((0.0, SHOULDER.start[2], _SHOULDER_Z), (0.0, 2.0 * SHOULDER.end[2], 0.0))
_PAIRS = [(a, b, CAPSULES[a].radius + CAPSULES[b].radius) for a, b in SELF_COLLISION_PAIRS]


def segment_distance(p: Vector, u: Vector, q: Vector, v: Vector) -> float:
    """Distance between the segments p + s u and q + t v, s and t in [0, 1]; neither u nor v is zero.

    Closest points as in Ericson, Real-Time Collision Detection (2005), 5.1.9.
    """
    ux, uy, uz = u
    vx, vy, vz = v
    wx, wy, wz = p[0] - q[0], p[1] - q[1], p[2] - q[2]
    uu, vv, uv = ux * ux + uy * uy + uz * uz, vx * vx + vy * vy + vz * vz, ux * vx + uy * vy + uz * vz
    uw, vw = ux * wx + uy * wy + uz * wz, vx * wx + vy * wy + vz * wz
    det = uu * vv - uv * uv
    s = (uv * vw - uw * vv) / det if det > 1e-12 else 0.0
    s = 0.0 if s < 0.0 else 1.0 if s > 1.0 else s
    t = (uv * s + vw) / vv
    if t < 0.0 or t > 1.0:
        t = 0.0 if t < 0.0 else 1.0
        s = (uv * t - uw) / uu
        s = 0.0 if s < 0.0 else 1.0 if s > 1.0 else s
    dx, dy, dz = wx + s * ux - t * vx, wy + s * uy - t * vy, wz + s * uz - t * vz
    return sqrt(dx * dx + dy * dy + dz * dz)
