"""Every fault of the matrix: its number, what happens, the bound, and where it is tried."""

from dataclasses import dataclass
from typing import Final

PROCESSES: Final = "processes"
IN_PROCESS: Final = "in process"


@dataclass(frozen=True)
class Row:
    """One fault. bound_ms: longest time from the fault to the reaction; None where the outcome alone counts."""

    id: int
    group: str
    fault: str
    expected: str
    bound_ms: float | None = None
    seam: str = PROCESSES
    """`processes`, `in process`, or `needs hardware: tested at ..`."""


def _hardware(where: str) -> str:
    return f"needs hardware: tested at {where}"


_POLICY: Final = (
    (1, "policy server killed in mid-chunk", "HOLD; it resumes within 2 s of the server's return", 50.0),
    (2, "policy server stopped (hangs)", "the deadline fires, then HOLD", 500.0),
    (3, "policy server slow", "no jump; HOLD when nothing is left to play", None),
    (4, "answers later than the policy was trained for", "chunk dropped, asked again; five in a row end in HOLD", None),
    (5, "chunk late, twice or out of order", "dropped; nothing is played twice or backwards", None),
    (6, "a value that is not finite", "the whole chunk refused, nothing of it on the bus", None),
    (7, "finite, but far outside the limits", "refused or clamped, and counted", None),
    (8, "contract of another robot, task or unit", "refused by name before anything moves", None),
    (9, "a chunk that starts away from the arm", "refused, HOLD", None),
    (10, "policy that changes direction in every step", "smooth within the limits; noticed", None),
    (11, "checkpoint corrupt or missing", "refused; the policy that serves goes on", None),
    (12, "GPU out of memory", "refused or asked again, then HOLD; no crash loop", None),
)
_NETWORK: Final = (
    (13, "packets vanish (black hole)", "the deadline fires, then HOLD; it resumes within 2 s", 500.0),
    (14, "a fifth of the data lost, 200 ms jitter", "at most one HOLD in 10 s, or a latched fault", None),
    (15, "connection reset every second", "connected again", 500.0),
    (16, "1 Mbit/s", "old frames dropped; memory does not grow", None),
    (17, "a second or unauthorised client", "refused; the session goes on undisturbed", None),
    (18, "oversized messages, garbage, pickles", "refused; the server lives, nothing is executed", None),
)
_ARM: Final = (
    (19, "bus-off", "HOLD or latched fault; the bus is back within 1 s, without motion", 20.0),
    (20, "CAN adapter unplugged", "HOLD or latched fault; recovers within 3 s of its return", 50.0),
    (21, "send buffer full (ENOBUFS)", "tried once more, then a fault; the loop never waits", 10.0),
    (22, "feedback of a joint or of all silent", "HOLD", 50.0),
    (23, "feedback frozen in motion", "noticed, HOLD", 200.0),
    (24, "feedback 300 degrees off", "not believed; no setpoint ever starts there", None),
    (25, "arm does not follow (collision, overload)", "HOLD at the measured pose", 10.0),
    (26, "motor hot, driver error, arm's status not normal", "latched fault; torque never comes back by itself", None),
    (27, "a joint reports its torque lost", "latched; no step when it comes back", None),
    (28, "leader mode or corrupt limits in the firmware", "refuses to enable, by name", None),
    (29, "driver killed", "the arm holds; a new driver goes on from the measured pose", 2000.0),
    (
        30,
        "a second driver, or somebody else's commands on the bus",
        "the lock refuses it; foreign commands: fault",
        5.0,
    ),
    (31, "e-stop in software", "slows down at once; latched; nothing drops the arm", 7.0),
    (32, "power lost and back", "no motion until enabled again", None),
)
_SENSORS: Final = (
    (33, "camera unplugged", "stale within 100 ms; back within 5 s of its return, same process", 100.0),
    (34, "camera repeats a frame", "noticed within 3 frames", 100.0),
    (35, "camera black, saturated or garbage", "noticed within 3 frames", 100.0),
    (36, "cameras swapped", "refused at start", None),
    (37, "time stamps more than 50 ms apart", "observation refused and counted", None),
    (38, "camera drops to 10 frames a second", "old frames refused; slower, not wrong", None),
)
_MACHINE: Final = (
    (39, "wall clock jumps an hour", "no effect", None),
    (40, "driver not scheduled for 200 ms", "no burst afterwards; first command within limits", None),
    (41, "every core busy", "late ticks counted; setpoints stay within limits", None),
    (42, "a day of running", "memory and descriptors constant", None),
    (43, "slow disk under the logs", "the loop is not affected", None),
)
_TELEOP: Final = (
    (44, "leader arm unplugged, dead man's switch released", "HOLD", 50.0),
    (45, "hand-over between policy and teleop", "continuous, one authority", 100.0),
    (46, "teleop jumps", "refused, or followed slowly", None),
    (47, "Ctrl-C or SIGTERM in motion", "comes to rest, torque on, and exits", 1000.0),
)
_RECORDING: Final = (
    (48, "disk full", "episode closed as truncated, alarm; the arm is not affected", 1000.0),
    (49, "recorder killed", "the episode can be read; at most 100 ms are lost", 100.0),
    (50, "power lost while recording", "at most 1 s lost; no half episode is ever listed", None),
    (51, "recorder gets nothing to write", "alarm", 2000.0),
    (52, "disk too slow", "bounded queue; what is dropped is counted in the episode", None),
    (
        53,
        "samples twice or out of order; crash at the end of an episode",
        "ends the same however often it is done",
        None,
    ),
)
_TRAINING: Final = (
    (54, "training killed, or its state corrupt", "goes on from its last state, the same to the bit", None),
    (55, "a world that breaks (NaN)", "started anew, and counted", None),
)
_GROUPS: Final = {
    "policy": _POLICY,
    "network": _NETWORK,
    "arm": _ARM,
    "sensors": _SENSORS,
    "machine": _MACHINE,
    "operators": _TELEOP,
    "recording": _RECORDING,
    "training": _TRAINING,
}
_SEAMS: Final = {
    12: IN_PROCESS,
    19: _hardware("the error frames that a CAN controller sends"),
    20: _hardware("the driver's bus object, which fails as a device that is gone"),
    21: _hardware("the driver's bus object, which refuses frames"),
    33: _hardware("librealsense's software device"),
    42: IN_PROCESS,
    50: _hardware("SIGKILL, which loses what the process had not written"),
    53: IN_PROCESS,
    54: IN_PROCESS,
    55: IN_PROCESS,
}
ROWS: Final = tuple(
    Row(number, group, fault, expected, bound, _SEAMS.get(number, PROCESSES))
    for group, rows in _GROUPS.items()
    for number, fault, expected, bound in rows
)
"""All rows, in order of their numbers."""
BY_ID: Final = {row.id: row for row in ROWS}
