"""How a new chunk of actions follows the one that is being played (numpy, no clock).

Rows are absolute targets, so that two chunks can be compared step by step: joint waypoints, as
`decode_ee_delta_position` makes them of relative actions. Steps are counted by the robot; the row of a step is executed
once or never.
"""

from motion_control.merging.bounds import StepBounds
from motion_control.merging.plan import ActionPlan, Commitment, MergeReport, StepChunk
from motion_control.merging.strategies import Crossfade, Replace, RtcPrefix, Strategy, TemporalEnsemble, strategy_named

__all__ = [
    "ActionPlan",
    "Commitment",
    "Crossfade",
    "MergeReport",
    "Replace",
    "RtcPrefix",
    "StepBounds",
    "StepChunk",
    "Strategy",
    "TemporalEnsemble",
    "strategy_named",
]
