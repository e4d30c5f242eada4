"""Whether this robot can do what a policy's contract says."""

from motion_control.action_space import ACTION_NAMES
from piper_description import JOINT_NAMES
from policy_api.schema import PolicySpec

ACTION_SPACES = {"ee_delta_position": ACTION_NAMES, "joint_position": tuple(JOINT_NAMES)}
"""What this robot plays, and the names of the numbers."""


def contract_problem(spec: PolicySpec) -> str | None:
    """Say what this robot can't do for the policy; None if it can do everything.

    Camera names and sizes are checked against the frames themselves, by `Observation.validate`.
    """
    state = tuple(field.name for field in spec.state)
    if state != tuple(JOINT_NAMES):
        return f"the policy's state is {', '.join(state)}; this robot gives {', '.join(JOINT_NAMES)} in that order"
    if spec.action_space not in ACTION_SPACES:
        return f"the policy's action space is {spec.action_space!r}; this robot plays {' and '.join(ACTION_SPACES)}"
    names = ACTION_SPACES[spec.action_space]
    action = tuple(field.name for field in spec.action)
    if action != names:
        return f"the policy's actions are {', '.join(action)}; {spec.action_space} has {', '.join(names)}"
    if not spec.cameras:
        return "the policy has no camera; this runner takes its observations at camera frames"
    return None
