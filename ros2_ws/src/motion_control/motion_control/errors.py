"""Errors of the motion layer; each message says what was wrong, what was expected and what to do."""


class MotionControlError(ValueError):
    """Base of everything that the motion layer refuses."""


class LimitsError(MotionControlError):
    """Limits that contradict themselves."""


class TargetRefusedError(MotionControlError):
    """A target that is not finite or has the wrong shape."""


class ActionRefusedError(MotionControlError):
    """An action chunk that is not finite or has the wrong shape."""


class ChunkRefusedError(MotionControlError):
    """A chunk of waypoints that is not taken into the schedule; the schedule is as it was before."""


class ModeRefusedError(MotionControlError):
    """A change of mode that is not allowed now; the mode is as it was before."""
