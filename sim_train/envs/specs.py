"""The contract of each task: what its policy sees and does."""

from typing import Final

from piper_description import GRIPPER_MAX_OPENING, JOINT_LIMITS, JOINT_NAMES
from policy_api.schema import CameraSpec, FieldSpec, PolicySpec

MAX_STEP_M: Final = 0.04
"""Largest TCP displacement per axis in one step, metres."""


def task_spec(task: str) -> PolicySpec:
    """The contract for policies of `task`: front camera, joint positions, TCP displacements in chunks of four steps."""
    units = ("rad",) * 6 + ("m",)
    limits = zip(JOINT_NAMES, units, JOINT_LIMITS.lower, JOINT_LIMITS.upper, strict=True)
    spec = PolicySpec(
        model="token_vla",
        cameras=(CameraSpec("front", width=320, height=240, input_size=64, jpeg_quality=90),),
        state=tuple(FieldSpec(name, unit, float(low), float(high)) for name, unit, low, high in limits),
        action_space="ee_delta_position",
        action=(
            *(FieldSpec(name, "m", -MAX_STEP_M, MAX_STEP_M) for name in ("dx", "dy", "dz")),
            FieldSpec("gripper", "m", 0.0, GRIPPER_MAX_OPENING),
        ),
        horizon=4,
        dt_s=0.1,
        settle_s=0.2,
        firmware_zero="current",
        task=task,
    )
    spec.validate()
    return spec
