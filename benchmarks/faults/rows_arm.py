"""Faults of CAN and of the arm, injected on the virtual arm's wire while the arm moves or holds."""

import time
from dataclasses import replace
from typing import Final

import numpy as np
from piper_can import codec
from piper_description import HOME_POSITION
from piper_driver.control_loop import PERIOD_NS
from piper_driver.driver_parameters import DriverParameters
from piper_driver.motion_watch import WINDOW_TICKS
from virtual_lab.can_faults import CanFault, FaultKind

from benchmarks.faults.attempt import Attempt, since_ms, tries
from benchmarks.faults.processes import START_S, TryError, wait_for
from benchmarks.faults.robot import SEED, Robot, feedback_ids
from benchmarks.faults.wire import Command, breaches, slows_ns, targets

REACTION_S: Final = 2.0
"""Longest time that a try waits for a reaction."""
NEAR_RAD: Final = np.radians(0.5)
"""A driver that takes over starts this close to where the arm is."""
_SLOW: Final = codec.MOTOR_SLOW
_REPORTS: Final = (
    (codec.ARM_STATUS, {"ArmStatus": 7.0}),
    (codec.ARM_STATUS, {"ArmStatus": 14.0}),
    (_SLOW[1], {"MotorOverheated": 1.0}),
    (_SLOW[3], {"DriverError": 1.0}),
    (codec.ARM_STATUS, {"CommErrorJoints": 4.0}),
)


def _after_fault(robot: Robot, since_ns: int, *modes: str, failure: str = "") -> Attempt:
    """Waits for one of these modes, lets the arm come to rest, and says how long what took."""
    try:
        heard_ns: int | None = robot.desk.mode_since(since_ns, REACTION_S, *modes)
        robot.at_rest()
    except TryError as error:
        heard_ns, failure = None, failure or f"no reaction: {error}"
    commands = robot.commands()
    return Attempt(
        since_ms(since_ns, heard_ns),
        since_ms(since_ns, _first(slows_ns(commands, 0, since_ns), heard_ns)),
        failure=failure or _dropped(commands),
        breaches=robot.breaches(),
    )


def _first(slowed_ns: int | None, heard_ns: int | None) -> int | None:
    """When the reaction had begun for sure: setpoints were slower, or the driver said so, which is in the same tick."""
    return min((t for t in (slowed_ns, heard_ns) if t is not None), default=None)


def _dropped(commands: list[Command]) -> str:
    """Whether anything was sent that lets the arm sink or fall; empty if not."""
    stops = [c for c in commands if c.frame_id == codec.STOP_COMMAND]
    disables = [c for c in commands if c.frame_id == codec.ENABLE_COMMAND and c.data[1] == 1]
    if stops or disables:
        return f"{len(stops)} stop or reset frames and {len(disables)} disable frames were sent"
    return ""


@tries(22, rig="arm")
def feedback_silent(robot: Robot, number: int) -> Attempt:
    """In motion: feedback of joints 3 and 4 stops, or all of it."""
    ids = feedback_ids() if number % 2 else (codec.JOINT_FEEDBACK[1],)
    robot.sweep()
    return _after_fault(robot, robot.lab.set_can_faults(CanFault(FaultKind.OFF, ids)), "HOLD", "FAULT")


@tries(23, rig="arm")
def feedback_frozen(robot: Robot, number: int) -> Attempt:
    """In motion: the joints' feedback repeats one value."""
    robot.sweep()
    began_ns = robot.lab.set_can_faults(CanFault(FaultKind.STUCK, codec.JOINT_FEEDBACK))
    return _after_fault(robot, began_ns, "HOLD", "FAULT")


@tries(24, rig="arm")
def feedback_off_by_300_degrees(robot: Robot, number: int) -> Attempt:
    """In motion and when a fault is cleared: no setpoint starts at an outlier."""
    robot.sweep()
    wrong = CanFault(FaultKind.WRONG, (codec.JOINT_FEEDBACK[0],), {"Joint1": 5.2 if number % 2 else -5.2})
    began_ns = robot.lab.set_can_faults(wrong)
    time.sleep(0.1)
    robot.lab.set_can_faults()
    time.sleep(0.3)
    heard = [s.time_ns for s in list(robot.desk.modes) if s.time_ns >= began_ns and s.what[0] in ("HOLD", "FAULT")]
    robot.call("estop")
    robot.at_rest()
    robot.lab.set_can_faults(wrong)
    time.sleep(0.1)
    cleared, text = robot.desk.trigger("/piper_driver/clear_fault")
    time.sleep(0.3)
    robot.lab.set_can_faults()
    failure = f"a fault was cleared at an outlying pose: {text}" if cleared else ""
    return Attempt(since_ms(began_ns, heard[0]) if heard else None, None, {}, failure, robot.breaches())


@tries(25, rig="arm")
def arm_does_not_follow(robot: Robot, number: int) -> Attempt:
    """In motion: the arm no longer hears its targets, as one that is held back.

    The driver allows an error and a lag; the reaction counts from when both are exceeded, "past the error" from when
    the error is.
    """
    robot.sweep()
    robot.lab.set_can_faults(CanFault(FaultKind.OFF, codec.JOINT_TARGETS))
    limit, lag_ns = DriverParameters().tracking_error_rad, WINDOW_TICKS * PERIOD_NS
    stuck = float(robot.lab.truth().joint_position[0])
    wait_for(lambda: abs(robot.setpoint()[0] - stuck) > limit, 3.0, "a setpoint far ahead")
    each = targets(robot.commands())[0]
    since_ns = int(each.time_ns[np.abs(each.position[:, 0] - stuck) > limit][0])
    attempt = _after_fault(robot, since_ns, "HOLD", "FAULT")
    if attempt.react_ms is None:
        return attempt
    late_ms = max(0.0, attempt.react_ms - lag_ns / 1e6)
    return replace(attempt, react_ms=late_ms, also_ms={"past the error": attempt.react_ms})


@tries(26, rig="arm")
def arm_reports_a_fault(robot: Robot, number: int) -> Attempt:
    """In motion: the arm reports a collision, heat or a motor's error; the fault stays when the report ends."""
    frame_id, values = _REPORTS[number % len(_REPORTS)]
    robot.sweep()
    attempt = _after_fault(robot, robot.lab.set_can_faults(CanFault(FaultKind.WRONG, (frame_id,), values)), "FAULT")
    robot.lab.set_can_faults()
    time.sleep(0.2)
    if not attempt.failure and robot.desk.mode != "FAULT":
        return replace(attempt, failure=f"the fault did not stay: {robot.desk.mode}")
    return attempt


@tries(27, rig="arm")
def torque_lost(robot: Robot, number: int) -> Attempt:
    """In motion: a joint reports its torque off; setpoints freeze, and begin at the measured pose when cleared."""
    robot.sweep()
    lost = CanFault(FaultKind.WRONG, (_SLOW[number % 6],), {"Enabled": 0.0})
    attempt = _after_fault(robot, robot.lab.set_can_faults(lost), "FAULT")
    enables = [c for c in robot.commands() if c.frame_id == codec.ENABLE_COMMAND]
    robot.lab.set_can_faults()
    time.sleep(0.2)
    robot.call("clear_fault")
    time.sleep(0.2)
    failure = attempt.failure or ("torque was asked for without an operator" if enables else "")
    return Attempt(attempt.detect_ms, attempt.react_ms, failure=failure, breaches=robot.breaches())


@tries(28, rig="arm")
def leader_arm(robot: Robot, number: int) -> Attempt:
    """Disabled: the arm becomes a leader, which hears no commands; enabling it is refused with what to do."""
    robot.desk.switch("/piper_driver/enable", False)
    robot.wire.send(codec.encode(codec.ROLE_COMMAND, {"Role": 0xFA}))
    time.sleep(0.3)
    try:
        done, text = robot.desk.switch("/piper_driver/enable", True)
    finally:
        robot.wire.send(codec.encode(codec.ROLE_COMMAND, {"Role": 0xFC}))
        time.sleep(0.3)
    if done:
        return Attempt(failure="a leader arm was enabled")
    return Attempt(failure="" if "leader" in text else f"the refusal does not speak of a leader arm: {text}")


@tries(29, rig="arm")
def driver_killed(robot: Robot, number: int) -> Attempt:
    """In motion: SIGKILL; the arm holds, and another driver takes over from where it stands."""
    robot.sweep()
    killed_ns = robot.driver.kill()
    time.sleep(0.2)
    before = robot.lab.truth()
    seen = len(robot.commands())
    started_ns = time.monotonic_ns()
    robot.desk.modes.clear()
    robot.start_driver(auto_enable=True)
    wait_for(lambda: len(targets(robot.commands()[seen:])[2].time_ns) > 20, START_S, "setpoints of the new driver")
    new = targets(robot.commands()[seen:])
    first = np.concatenate([each.position[0] for each in new])
    off = float(np.abs(first - before.joint_position[:6]).max())
    failure = "" if before.torque_on else "the arm lost its torque"
    if off > NEAR_RAD:
        failure = f"the first setpoint is {np.degrees(off):.2f} degrees from the arm"
    back_ms = since_ms(started_ns, int(new[0].time_ns[0]))
    outage_ms = since_ms(killed_ns, int(new[0].time_ns[0])) or 0.0
    return Attempt(None, back_ms, {"outage": outage_ms}, failure, robot.breaches())


@tries(30, rig="arm")
def two_writers(robot: Robot, number: int) -> Attempt:
    """A second driver is refused by the lock (odd tries); another program's targets on the bus make a fault."""
    if number % 2:
        second = robot.new_driver()
        try:
            status = second.wait(START_S)
            refused = status == 2 and "already driven by process" in second.text()
        finally:
            second.end()
        return Attempt(failure="" if refused else f"the second driver ended with {status}, not with a refusal")
    robot.sweep()
    frames = codec.encode_joint_targets(HOME_POSITION[:6].tolist())
    sent_ns, *_ = [robot.wire.send(frame) for frame in frames]
    began_ns = time.monotonic_ns()
    try:
        heard_ns: int | None = robot.desk.mode_since(sent_ns, REACTION_S, "HOLD", "FAULT")
        failure = ""
    except TryError as error:
        heard_ns, failure = None, f"foreign targets went unnoticed: {error}"
    foreign = {(frame.frame_id, bytes(frame.data)) for frame in frames}
    ours = [c for c in robot.commands() if (c.frame_id, c.data) not in foreign]
    slowed_ns = slows_ns(ours, 0, began_ns)
    return Attempt(
        since_ms(sent_ns, heard_ns),
        since_ms(sent_ns, _first(slowed_ns, heard_ns)),
        failure=failure,
        breaches=tuple(breaches(ours)),
    )


@tries(31, rig="arm")
def software_estop(robot: Robot, number: int) -> Attempt:
    """In motion: the e-stop service is called; from the call to the first setpoint that is slower."""
    robot.sweep()
    called_ns = robot.desk.trigger_now("/piper_driver/estop")
    attempt = _after_fault(robot, called_ns, "ESTOP")
    given, _ = robot.desk.switch("/piper_driver/policy", True)
    if given:
        return replace(attempt, failure="the policy got authority in an e-stop")
    return attempt


@tries(32, rig="arm")
def power_lost(robot: Robot, number: int) -> Attempt:
    """Holding: the arm is gone and comes back without torque; nothing is sent until it is enabled again."""
    lost_ns = robot.lab_process.kill()
    heard_ns = robot.desk.mode_since(lost_ns, REACTION_S, "FAULT")
    robot.at_rest()
    robot.start_lab()
    robot.begin_record()
    time.sleep(1.0)
    sent = robot.commands()
    failure = f"{len(sent)} command frames were sent to an arm that came back" if sent else ""
    if robot.desk.mode not in ("FAULT", "DISABLED"):
        failure = f"the arm came back in {robot.desk.mode}"
    robot.lab.reset(SEED, force_arm_home=True)
    return Attempt(since_ms(lost_ns, heard_ns), None, failure=failure)
