"""How a new chunk of actions follows the one that is being played (numpy, no clock).

A row is what is played at one control step. Steps are counted by the robot; the row of a step is executed once or
never. Where chunks are blended, rows are absolute targets, which can be compared step by step: joint waypoints, as
`decode_ee_delta_position` makes them of relative actions. A policy that is told what is committed is told it in its own
actions, so `RtcPrefix` goes with rows that are these actions; each is decoded when it is played.
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
