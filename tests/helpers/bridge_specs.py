"""A small contract for tests."""

from piper_description import GRIPPER_MAX_OPENING, JOINT_LIMITS, JOINT_NAMES
from policy_api.schema import CameraSpec, FieldSpec, PolicySpec


def make_spec(cameras=("front",), **changes) -> PolicySpec:
    values = {
        "model": "scripted",
        "cameras": tuple(CameraSpec(name, 64, 48, 32, 90) for name in cameras),
        "state": tuple(
            FieldSpec(name, "m" if name == "gripper" else "rad", float(low), float(high))
            for name, low, high in zip(JOINT_NAMES, JOINT_LIMITS.lower, JOINT_LIMITS.upper, strict=True)
        ),
        "action_space": "ee_delta_position",
        "action": (
            *(FieldSpec(name, "m", -0.04, 0.04) for name in ("dx", "dy", "dz")),
            FieldSpec("gripper", "m", 0.0, GRIPPER_MAX_OPENING),
        ),
        "horizon": 4,
        "dt_s": 0.05,
        "settle_s": 0.1,
        "firmware_zero": "current",
        "task": "push",
        **changes,
    }
    return PolicySpec(**values)
