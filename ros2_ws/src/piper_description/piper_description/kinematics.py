"""Forward kinematics and Jacobian of the Piper, for both firmware zeros.

Modified (Craig) DH parameters of the vendor's own kinematics; firmware from S-V1.6-3 on has another joint zero for
joints 2 and 3 than older firmware. Every function takes leading batch dimensions.
"""

from enum import Enum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from piper_description.joints import HOME_POSITION

Array = NDArray[np.float64]


class FirmwareZero(str, Enum):
    """Which joint zero the arm's firmware uses."""

    CURRENT = "current"
    """Firmware S-V1.6-3 and later (`dh_is_offset = 1` in the vendor SDK)."""
    LEGACY = "legacy"
    """Older firmware; off by 2 degrees in joints 2 and 3, 10 mm at the flange."""


_A: Final = (0.0, 0.0, 0.28503, -0.02198, 0.0, 0.0)
_ALPHA: Final = tuple(np.radians([0.0, -90.0, 0.0, 90.0, -90.0, 90.0]))
_D: Final = (0.123, 0.0, 0.0, 0.25075, 0.0, 0.091)
THETA_OFFSET: Final = {
    FirmwareZero.CURRENT: np.radians([0.0, -172.22, -102.78, 0.0, 0.0, 0.0]),
    FirmwareZero.LEGACY: np.radians([0.0, -174.22, -100.78, 0.0, 0.0, 0.0]),
}
"""Angle of each joint's DH frame at joint position zero, rad, shape (6,)."""

FINGER_ORIGIN_M: Final = 0.1358
"""Distance from the flange (link 6) to the finger joints along link 6's z, metres."""

T_FLANGE_TCP: Final = np.array(
    [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, FINGER_ORIGIN_M], [0.0, 0.0, 0.0, 1.0]]
)
"""Pose of the tool centre point in the flange frame, shape (4, 4): between the finger pads; z is the approach axis and
the fingers move along y."""


def link_transforms(q_rad: Array, zero: FirmwareZero = FirmwareZero.CURRENT) -> Array:
    """Poses of links 1..6 in the base frame, shape (..., 6, 4, 4), for joint angles of shape (..., 6) in rad."""
    q = np.asarray(q_rad, dtype=np.float64)
    if q.shape[-1:] != (6,):
        raise ValueError(f"joint angles have shape {q.shape}; expected (..., 6): the six arm joints in rad")
    theta = q + THETA_OFFSET[zero]
    sin, cos = np.sin(theta), np.cos(theta)
    T = np.broadcast_to(np.eye(4), (*q.shape[:-1], 4, 4))
    links = np.empty((*q.shape[:-1], 6, 4, 4))
    for i in range(6):
        sin_alpha, cos_alpha = np.sin(_ALPHA[i]), np.cos(_ALPHA[i])
        step = np.zeros((*q.shape[:-1], 4, 4))
        step[..., 0, 0], step[..., 0, 1], step[..., 0, 3] = cos[..., i], -sin[..., i], _A[i]
        step[..., 1, 0], step[..., 1, 1] = sin[..., i] * cos_alpha, cos[..., i] * cos_alpha
        step[..., 1, 2], step[..., 1, 3] = -sin_alpha, -sin_alpha * _D[i]
        step[..., 2, 0], step[..., 2, 1] = sin[..., i] * sin_alpha, cos[..., i] * sin_alpha
        step[..., 2, 2], step[..., 2, 3] = cos_alpha, cos_alpha * _D[i]
        step[..., 3, 3] = 1.0
        T = T @ step
        links[..., i, :, :] = T
    return links


def forward_kinematics(q_rad: Array, zero: FirmwareZero = FirmwareZero.CURRENT) -> Array:
    """Flange pose `T_base_flange`, shape (..., 4, 4), metres, for joint angles of shape (..., 6) in rad."""
    return link_transforms(q_rad, zero)[..., 5, :, :]


def tcp_pose(q_rad: Array, zero: FirmwareZero = FirmwareZero.CURRENT) -> Array:
    """Tool centre point pose `T_base_tcp`, shape (..., 4, 4), metres, for joint angles of shape (..., 6) in rad."""
    return forward_kinematics(q_rad, zero) @ T_FLANGE_TCP


def _point_jacobian(links: Array, T_base_point: Array) -> Array:
    axes = links[..., :, :3, 2]  # (..., 6, 3): joint i turns about its own z
    levers = T_base_point[..., None, :3, 3] - links[..., :, :3, 3]
    return np.concatenate([np.cross(axes, levers), axes], axis=-1).swapaxes(-1, -2)


def jacobian(q_rad: Array, zero: FirmwareZero = FirmwareZero.CURRENT) -> Array:
    """Flange Jacobian, shape (..., 6, 6): rows linear velocity (m/s) then angular (rad/s), base frame, per rad/s."""
    links = link_transforms(q_rad, zero)
    return _point_jacobian(links, links[..., 5, :, :])


def tcp_jacobian(q_rad: Array, zero: FirmwareZero = FirmwareZero.CURRENT) -> Array:
    """Jacobian of the tool centre point, shape (..., 6, 6): rows linear then angular, base frame, per rad/s."""
    links = link_transforms(q_rad, zero)
    return _point_jacobian(links, links[..., 5, :, :] @ T_FLANGE_TCP)


def rotation_to_rpy(R: Array) -> Array:
    """Roll, pitch, yaw in rad, shape (..., 3), of rotations (..., 3, 3) with R = Rz(yaw) Ry(pitch) Rx(roll)."""
    pitch = np.arcsin(np.clip(-R[..., 2, 0], -1.0, 1.0))
    roll = np.arctan2(R[..., 2, 1], R[..., 2, 2])
    yaw = np.arctan2(R[..., 1, 0], R[..., 0, 0])
    return np.stack([roll, pitch, yaw], axis=-1)


R_BASE_TOOL_HOME: Final = tcp_pose(HOME_POSITION[:6])[:3, :3]
"""Orientation of the tool at `HOME_POSITION`, shape (3, 3): the one that the action space `ee_delta_position` keeps."""
