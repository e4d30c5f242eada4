"""What the guard keeps beside the joints' own limits: the room the tool has, its speed, the table, the arm itself."""

from dataclasses import dataclass, field

import numpy as np

from motion_control.action_space import WorkspaceBox
from motion_control.errors import LimitsError

TCP_SPEED_M_S = 0.25
"""Speed at which people may stand by a robot that is taught or handed things; a figure to go by, not a certificate."""
FINGER_GIVE_M = 0.002
"""The fingers may press this far into the table: they are soft, and no table is known better."""
BODY_ABOVE_TABLE_M = 0.005
SELF_DISTANCE_M = 0.005


def _reach() -> WorkspaceBox:
    return WorkspaceBox(lower=np.array([-0.8, -0.8, 0.0]), upper=np.array([0.8, 0.8, 0.95]))


@dataclass(frozen=True)
class SafetyLimits:
    """Limits of the guard, base frame.

    workspace: box for the tool centre point, m; the default is all that the arm reaches above its own foot.
    tcp_speed_m_s: largest speed of the tool centre point.
    table_z_m: height of a table below the whole arm, or None if there is none.
    Raises LimitsError for a speed outside 0.01 to 3 m/s and for a table that is not within 1 m of the arm's foot.
    """

    workspace: WorkspaceBox = field(default_factory=_reach)
    tcp_speed_m_s: float = TCP_SPEED_M_S
    table_z_m: float | None = 0.0

    def __post_init__(self) -> None:
        if not 0.01 <= self.tcp_speed_m_s <= 3.0:
            raise LimitsError(f"tcp_speed_m_s is {self.tcp_speed_m_s}; expected 0.01 to 3 m/s")
        if self.table_z_m is not None and not -1.0 <= self.table_z_m <= 1.0:
            raise LimitsError(f"table_z_m is {self.table_z_m}; expected -1 to 1 m from the arm's foot, or None")
