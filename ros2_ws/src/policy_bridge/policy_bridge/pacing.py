"""Which pace a run has: as its contract wants it, or as somebody has set it."""

from dataclasses import dataclass

from motion_control.errors import LimitsError
from motion_control.limits import MotionLimits
from motion_control.merging import strategy_named
from policy_api.schema import PolicySpec

from policy_bridge.pace import Pace, Synchronous
from policy_bridge.streaming import Streaming

EXECUTIONS = ("auto", "synchronous", "streaming")


@dataclass(frozen=True)
class Pacing:
    """execution: one of EXECUTIONS; "auto" is synchronous for a contract with a settling time, else streaming.

    merge, every_steps: of `Streaming`. Raises ValueError for settings that are unknown.
    """

    execution: str = "auto"
    merge: str = "crossfade"
    every_steps: int = 0

    def __post_init__(self) -> None:
        if self.execution not in EXECUTIONS:
            raise ValueError(f"execution is {self.execution!r}; known are {', '.join(EXECUTIONS)}")
        if self.every_steps < 0:
            raise ValueError(
                f"every_steps is {self.every_steps}; give 0 for half a chunk, or the steps between questions"
            )
        try:
            strategy_named(self.merge)
        except LimitsError as error:
            raise ValueError(str(error)) from error

    def pace(self, spec: PolicySpec, prefix_steps: int) -> Pace:
        """The pace of a run with this contract, whose weights can be conditioned on `prefix_steps` steps.

        Raises ValueError if `every_steps` does not fit the contract.
        """
        limits = MotionLimits.default()
        execution = self.execution
        if execution == "auto":
            execution = "synchronous" if spec.settle_s > 0 else "streaming"
        if execution == "synchronous":
            return Synchronous(spec, limits)
        return Streaming(spec, limits, self.merge, self.every_steps, prefix_steps)
