"""What the controller counts, and the times after which silence has consequences."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Timeouts:
    """Times after which silence has consequences, nanoseconds."""

    stale_ns: int = 1_000_000_000
    """No new chunk for this long after the last waypoint: HOLD."""
    first_chunk_ns: int = 10_000_000_000
    """Policy authority without a first chunk for this long: HOLD."""
    feedback_hold_ns: int = 100_000_000
    """No feedback from the arm: HOLD."""
    feedback_fault_ns: int = 500_000_000
    """No feedback from the arm: FAULT."""
    dead_man_ns: int = 50_000_000
    """No teleop command that was read within this time: HOLD."""
    first_teleop_ns: int = 1_000_000_000
    """Teleop authority without a first command for this long: HOLD."""


@dataclass
class Counters:
    """What the controller had to do since it was made."""

    chunks_accepted: int = 0
    chunks_refused: int = 0
    points_dropped: int = 0
    """Waypoints that were already past when their chunk came."""
    points_clamped: int = 0
    """Waypoint values outside the position limits."""
    ticks_limited: int = 0
    """Ticks in which a limit held the arm back: a joint's velocity or acceleration, or the guard."""
    ticks_guarded: int = 0
    """Ticks in which the guard held it back: workspace, table, tool speed, own links."""
    stale_holds: int = 0
    starved: int = 0
    """Times that the arm was brought to rest because no chunk continued the last one."""
    teleop_accepted: int = 0
    teleop_refused: int = 0
