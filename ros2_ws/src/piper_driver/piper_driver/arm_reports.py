"""What the arm says about itself, as faults; and what must be true before it gets torque. Pure functions of state."""

from collections.abc import Iterable

from piper_can import ArmState, ArmStatusCode, CtrlMode, FirmwareVersionError, PiperHost, codec

from piper_driver.faults import Fault, FaultId

FOREIGN_RECENT_NS = 1_000_000_000
TORQUE_REPORT_SAMPLES = 50
"""Motor drivers report once in five samples of joint angles."""
OFFSET_IDS = frozenset(
    offset + frame_id
    for offset in (0x10, 0x20, 0x100)
    for frame_id in (codec.ARM_STATUS, *codec.END_POSE, *codec.JOINT_FEEDBACK, codec.GRIPPER_FEEDBACK)
)
"""Feedback of an arm that was set up to stand behind a leader arm, and (0x3A_) of one with a broken role."""
_WATCHED_COMMANDS = codec.COMMANDS - {codec.LIMITS_QUERY, codec.SETTINGS_COMMAND}
"""Commands that move or change an arm; questions are free."""
_HOT = (ArmStatusCode.MAIN_OVERHEATED, ArmStatusCode.BRAKE_RESISTOR_OVERHEATED)


def reported_fault(state: ArmState) -> Fault | None:
    """The fault that the arm reports, the worst first."""
    status = state.status
    if status is not None and status.arm_status is not ArmStatusCode.NORMAL:
        words = f"the arm's status is {status.arm_status.name}"
        if status.arm_status is ArmStatusCode.EMERGENCY_STOP:
            return Fault(FaultId.ARM_STOPPED, words)
        if status.arm_status is ArmStatusCode.COLLISION:
            return Fault(FaultId.COLLISION, words)
        return Fault(FaultId.OVER_TEMPERATURE if status.arm_status in _HOT else FaultId.ARM_STATUS, words)
    if status is not None and any(status.comm_error):
        silent = joint_names(i for i, bad in enumerate(status.comm_error) if bad)
        return Fault(FaultId.JOINT_UNREACHABLE, f"the arm cannot reach {silent}")
    if state.motor_faults:
        words = f"motor fault: {', '.join(state.motor_faults)}"
        if any("Collision" in fault for fault in state.motor_faults):
            return Fault(FaultId.COLLISION, words)
        hot = any("Hot" in fault or "Overheat" in fault for fault in state.motor_faults)
        return Fault(FaultId.OVER_TEMPERATURE if hot else FaultId.MOTOR_FAULT, words)
    return None


def torque_fault(state: ArmState, samples: int) -> Fault | None:
    """Whether an arm that should have torque has lost it, or no longer says so.

    `samples`: joint angles that came since all six motor drivers reported last.
    """
    if state.enabled_age_ns is not None and not state.all_enabled:
        lost = joint_names(i for i in range(6) if not state.enabled[i])
        return Fault(FaultId.TORQUE_LOST, f"the arm reports torque off on at least one joint: {lost}")
    if samples > TORQUE_REPORT_SAMPLES:
        return Fault(FaultId.TORQUE_UNKNOWN, f"a motor driver did not report for {samples * 5} ms")
    return None


def foreign_writer(host: PiperHost, since_ns: int) -> Fault | None:
    """Whether somebody else sent a command after `since_ns` that moves or changes the arm."""
    last = host.others.last
    if last is None or last.stamp_ns <= since_ns or last.frame_id not in _WATCHED_COMMANDS:
        return None
    return Fault(
        FaultId.FOREIGN_WRITER,
        f"another program or a leader arm commands this arm: 0x{last.frame_id:03X} was heard on the bus",
    )


def not_ready(host: PiperHost, now_ns: int, fresh_ns: int) -> Fault | None:
    """Why an arm may not get torque as far as it is known now; None if nothing speaks against it.

    Feedback is fresh if it is not older than `fresh_ns`.
    """
    state = host.state
    if host.bus_off:
        return Fault(FaultId.BUS_OFF, "the CAN controller has left the bus")
    age_ns = state.joint_age_ns
    if age_ns is None or age_ns > fresh_ns:
        return _silent_arm(host, now_ns)
    if (fault := foreign_writer(host, now_ns - FOREIGN_RECENT_NS)) is not None:
        return fault
    missing = [
        name for name, part in (("gripper (0x2A8)", state.gripper), ("status (0x2A1)", state.status)) if part is None
    ]
    if state.enabled_age_ns is None:
        missing.append("motor drivers (0x261-0x266)")
    if missing:
        return Fault(FaultId.NO_FEEDBACK, f"the arm never reported: {', '.join(missing)}")
    if state.status is not None and state.status.ctrl_mode in (CtrlMode.TEACH, CtrlMode.LINKAGE):
        return Fault(FaultId.TEACH_MODE, f"the arm is in {state.status.ctrl_mode.name} mode and takes no targets")
    return reported_fault(state) or unfit(host)


def unfit(host: PiperHost) -> Fault | None:
    """Whether firmware or limits of the arm, as far as they are known, are such that it must not move."""
    try:
        limits = host.limits  # None while firmware or limits are not known
    except FirmwareVersionError as error:
        return Fault(FaultId.FIRMWARE_UNKNOWN, str(error))
    problems = () if limits is None else limits.problems()
    if problems:
        return Fault(FaultId.LIMITS_CORRUPT, f"the limits in the arm's flash are corrupt: {'; '.join(problems)}")
    return None


def unidentified(host: PiperHost) -> Fault | None:
    """What the arm was asked and has not answered; None once it is known which arm it is."""
    if host.firmware is None:
        return Fault(FaultId.FIRMWARE_SILENT, "the arm did not say its firmware version, so its joint zero is unknown")
    if unfit(host) is None and host.limits is None:
        return Fault(FaultId.LIMITS_SILENT, "the arm did not tell its joint limits")
    return None


def joint_names(indices: Iterable[int]) -> str:
    """Names of the joints with these indices (from 0)."""
    return ", ".join(f"joint{i + 1}" for i in indices)


def _silent_arm(host: PiperHost, now_ns: int) -> Fault:
    if offset := sorted(host.unknown_ids & OFFSET_IDS):
        ids = ", ".join(f"0x{frame_id:03X}" for frame_id in offset)
        return Fault(FaultId.OFFSET_IDS, f"the arm reports under other ids than its own: {ids}")
    leader = host.others.joints
    if leader is not None and now_ns - leader.stamp_ns < FOREIGN_RECENT_NS:
        return Fault(
            FaultId.LEADER_MODE, "joint targets come from the arm's side and no feedback: the arm is in leader mode"
        )
    state = host.state
    if state.joints is None:
        return Fault(
            FaultId.NO_FEEDBACK,
            "no fresh feedback: joint angles (0x2A5-0x2A7) were never heard. An arm in leader mode is "
            "silent until it is moved",
        )
    return Fault(
        FaultId.NO_FEEDBACK,
        f"no fresh feedback: the last one is {(state.joint_age_ns or 0) / 1e6:.0f} ms old",
    )
