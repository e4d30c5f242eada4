"""What the driver says about itself: one line of JSON on `~/status`, and the values of its diagnostics."""

import json
from dataclasses import asdict, dataclass

from diagnostic_msgs.msg import DiagnosticStatus
from motion_control import ArmController, Mode

from piper_driver.arm_link import ArmLink
from piper_driver.control_loop import PERIOD_NS
from piper_driver.faults import Fault, FaultId
from piper_driver.loop_clock import LoopClock


@dataclass(frozen=True)
class DriverStatus:
    """Mode, fault and readiness. Empty texts where there is nothing to say."""

    mode: str
    reason: str
    state: str
    """Of the lifecycle: `unconfigured`, `inactive`, `active`, `finalized`."""
    fault: str
    """Id, one of `FaultId`."""
    words: str
    remedy: str
    warning: str
    """What is degraded, but no fault yet."""
    not_ready: str
    """While DISABLED: why the arm would get no torque."""

    def to_json(self) -> str:
        """One line."""
        return json.dumps(asdict(self), allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> "DriverStatus":
        """Read one line; ValueError or TypeError for anything else."""
        return cls(**json.loads(text))


def status_of(link: ArmLink, lifecycle: str, now_ns: int) -> DriverStatus:
    """The driver's status at `now_ns`."""
    modes = link.controller.modes
    fault = link.fault
    if fault is None and modes.mode is Mode.FAULT:
        fault = Fault(FaultId.DRIVER, modes.reason)
    unready = link.not_ready(now_ns) if modes.mode is Mode.DISABLED else None
    return DriverStatus(
        mode=modes.mode.value,
        reason=modes.reason,
        state=lifecycle,
        fault="" if fault is None else fault.id.value,
        words="" if fault is None else fault.words,
        remedy="" if fault is None else fault.remedy,
        warning="" if modes.mode is Mode.DISABLED else link.degraded(now_ns),
        not_ready="" if unready is None else str(unready),
    )


def level_of(status: DriverStatus, loop: LoopClock) -> tuple[bytes, str]:
    """Level and summary for diagnostics."""
    if status.mode in (Mode.ESTOP.value, Mode.FAULT.value):
        return DiagnosticStatus.ERROR, f"{status.mode}: {status.reason}"
    if loop.ticks > 400 and abs(loop.mean_hz - 1e9 / PERIOD_NS) > 5.0:
        return DiagnosticStatus.WARN, f"the loop runs at {loop.mean_hz:.1f} Hz; expected 200"
    if status.warning or status.not_ready:
        return DiagnosticStatus.WARN, status.warning or status.not_ready
    return DiagnosticStatus.OK, "running"


def diagnostic_values(link: ArmLink, loop: LoopClock, status: DriverStatus, last_refusal: str) -> dict[str, object]:
    """Everything that is counted."""
    controller: ArmController = link.controller
    counters = controller.counters
    return {
        "mode": status.mode,
        "reason": status.reason,
        "state": status.state,
        "fault": status.fault,
        "remedy": status.remedy,
        "warning": status.warning,
        "not_ready": status.not_ready,
        "mean_hz": loop.mean_hz,
        "lateness_p50_ms": loop.lateness.quantile_ms(0.5),
        "lateness_p99_ms": loop.lateness.quantile_ms(0.99),
        "lateness_max_ms": loop.lateness.max_ns / 1e6,
        "work_p50_ms": loop.work.quantile_ms(0.5),
        "work_p99_ms": loop.work.quantile_ms(0.99),
        "work_max_ms": loop.work.max_ns / 1e6,
        "ticks": loop.ticks,
        "overruns": loop.overruns,
        "limiter_ticks": counters.ticks_limited,
        "guard_ticks": counters.ticks_guarded,
        "held_back_by": controller.held_back_by,
        "chunks_accepted": counters.chunks_accepted,
        "chunks_refused": counters.chunks_refused,
        "points_dropped": counters.points_dropped,
        "points_clamped": counters.points_clamped,
        "stale_holds": counters.stale_holds,
        "teleop_accepted": counters.teleop_accepted,
        "teleop_refused": counters.teleop_refused,
        "last_refusal": last_refusal,
        "faults": ", ".join(f"{name} {count}" for name, count in sorted(link.counts.items())),
        "feedback_rejected": link.filter.rejected,
        "bus_errors": link.bus_errors,
        "bus_reopened": link.reopened,
        "bad_frames": link.host.bad_frames,
        "foreign_commands": link.host.others.count,
        "firmware": link.host.firmware or "",
    }
