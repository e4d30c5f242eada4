"""Whether this robot can do what a policy's contract says."""

from motion_control.action_space import ACTION_NAMES
from piper_description import JOINT_NAMES
from policy_api.schema import PolicySpec

ACTION_SPACE = "ee_delta_position"


def contract_problem(spec: PolicySpec) -> str | None:
    """Say what this robot can't do for the policy; None if it can do everything.

    Camera names and sizes are checked against the frames themselves, by `Observation.validate`.
    """
    state = tuple(field.name for field in spec.state)
    if state != tuple(JOINT_NAMES):
        return f"the policy's state is {', '.join(state)}; this robot gives {', '.join(JOINT_NAMES)} in that order"
    if spec.action_space != ACTION_SPACE:
        return f"the policy's action space is {spec.action_space!r}; this robot plays {ACTION_SPACE!r}"
    action = tuple(field.name for field in spec.action)
    if action != ACTION_NAMES:
        return f"the policy's actions are {', '.join(action)}; {ACTION_SPACE} has {', '.join(ACTION_NAMES)}"
    if not spec.cameras:
        return "the policy has no camera; this runner takes its observations at camera frames"
    return None
