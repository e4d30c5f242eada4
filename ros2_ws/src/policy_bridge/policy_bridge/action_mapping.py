"""A contract's actions to joint waypoints, and joint waypoints back to actions."""

import numpy as np
from motion_control.action_space import TABLE_WORKSPACE, decode_ee_delta_position
from motion_control.errors import ActionRefusedError
from motion_control.limits import MotionLimits
from numpy.typing import NDArray
from piper_description import JOINT_NAMES, R_BASE_TOOL_HOME
from piper_description.kinematics import tcp_position
from policy_api.schema import PolicySpec

Array = NDArray[np.float64]

MAX_OUTSIDE = 0.1
"""A joint position further outside the limits than this, rad or m, is another unit or another joint zero."""


def to_waypoints(spec: PolicySpec, actions: NDArray[np.float32], before: Array, limits: MotionLimits) -> Array:
    """Joint waypoints (H, 7), rad and m, of actions (H, A) in the contract's units, within the limits.

    Args:
        spec: the contract.
        actions: as the policy gave them.
        before: (7,), what the arm is commanded to reach in the step before the first action.
        limits: of the joints.

    Raises ActionRefusedError for numbers that are not finite or far outside the limits.
    """
    rows = np.asarray(actions, dtype=np.float64)
    if spec.action_space == "ee_delta_position":
        return decode_ee_delta_position(rows, before, R_BASE_TOOL_HOME, TABLE_WORKSPACE, limits)
    if not np.isfinite(rows).all():
        raise ActionRefusedError("actions have values that are not finite; the whole chunk is refused")
    outside = limits.outside(rows)
    if (outside > MAX_OUTSIDE).any():
        joint = JOINT_NAMES[int(outside.max(axis=0).argmax())]
        raise ActionRefusedError(
            f"{joint} is asked to go {outside.max():.2f} outside its limits; expected rad and metres, and the firmware "
            "zero of the contract"
        )
    return np.clip(rows, limits.lower, limits.upper)


def to_actions(spec: PolicySpec, waypoints: Array, before: Array) -> NDArray[np.float32]:
    """Actions (P, A) in the contract's units and ranges that lead from `before` (7,) along waypoints (P, 7)."""
    rows = waypoints
    if spec.action_space == "ee_delta_position":
        tcp = tcp_position(np.vstack([before, waypoints])[:, :6])
        rows = np.hstack([np.diff(tcp, axis=0), waypoints[:, 6:]])
    lower = np.array([field.lower for field in spec.action], dtype=np.float32)
    upper = np.array([field.upper for field in spec.action], dtype=np.float32)
    return np.clip(rows.astype(np.float32), lower, upper)
