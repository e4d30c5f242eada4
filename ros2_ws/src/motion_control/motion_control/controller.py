"""One arm's controller: who moves it, and when it stops, behind one `tick`."""

import numpy as np
from numpy.typing import NDArray
from piper_description import HOME_POSITION, PARK_POSITION

from motion_control.counters import Counters, Timeouts
from motion_control.errors import ChunkRefusedError, ModeRefusedError, TargetRefusedError
from motion_control.feedback_watch import Feedback, FeedbackWatch, check_pose
from motion_control.joint_move import JointMove
from motion_control.limits import MotionLimits
from motion_control.modes import Mode, ModeMachine
from motion_control.output import MotionOutput, Setpoint
from motion_control.policy_motion import PolicyMotion
from motion_control.safety import SafetyLimits
from motion_control.schedule import Chunk
from motion_control.teleop_motion import TeleopCommand, TeleopMotion

Array = NDArray[np.float64]


class ArmController:
    """Decides every setpoint of one arm. Time comes in as monotonic `now_ns`; nothing here reads a clock.

    Invariant: setpoints are finite, stay within the position limits, move by at most velocity * period, change velocity
    by at most acceleration * period and acceleration by at most jerk * period a tick, keep what `safety` (default:
    `SafetyLimits()`) asks for, and come from the one source that has authority, whatever comes in. Only `enable` and
    `clear_fault` set the setpoint anew: to the measured position.
    """

    def __init__(
        self,
        limits: MotionLimits,
        period_ns: int,
        timeouts: Timeouts | None = None,
        safety: SafetyLimits | None = None,
    ) -> None:
        timeouts = timeouts or Timeouts()
        self.limits = limits
        self.period_ns = period_ns
        self.modes = ModeMachine()
        self.counters = Counters()
        self._output = MotionOutput(limits, safety or SafetyLimits(), period_ns / 1e9, HOME_POSITION)
        self._policy = PolicyMotion(limits, self.counters, timeouts.first_chunk_ns, timeouts.stale_ns)
        self._teleop = TeleopMotion(limits, timeouts.dead_man_ns, timeouts.first_teleop_ns)
        self._joint_move: JointMove | None = None
        self._destination = ""
        self._feedback = FeedbackWatch(timeouts.feedback_hold_ns, timeouts.feedback_fault_ns)
        self._tick_ns: int | None = None

    @property
    def mode(self) -> Mode:
        """Who moves the arm."""
        return self.modes.mode

    @property
    def at_rest(self) -> bool:
        """Whether the setpoint stands still and is not about to move."""
        return self._joint_move is None and self._output.at_rest

    @property
    def homing(self) -> bool:
        """Whether the arm is on its way home or to its park pose."""
        return self._joint_move is not None

    @property
    def held_back_by(self) -> str:
        """What the guard slowed the last tick for ("table", "tool speed", ..); empty if nothing."""
        return self._output.held_back_by

    def tick(self, now_ns: int, feedback: Feedback | None) -> Setpoint:
        """Setpoint of this tick; `feedback` is the newest the arm sent, None if it never sent any.

        Call it once a period. Late calls lose the ticks that passed: the setpoint never moves further than one
        period allows. Calls sooner than half a period after the last tick return the setpoint unchanged.
        """
        self._watch_feedback(now_ns, feedback)
        if self._tick_ns is None or now_ns - self._tick_ns >= self.period_ns // 2:
            self._tick_ns = now_ns
            self._move(now_ns)
        send = self.mode is not Mode.DISABLED and self._feedback.torque_on
        if self.modes.latched:
            send = send and not self._output.at_rest
        return self._output.setpoint(self.mode, send)

    def accept_chunk(self, chunk: Chunk, now_ns: int) -> None:
        """Play a policy's chunk. Raises `ChunkRefusedError`, and changes nothing, if it cannot be played."""
        try:
            if self.mode is not Mode.POLICY:
                raise ChunkRefusedError(
                    f"the policy has no authority: the arm is in {self.mode.value} ({self.modes.reason})"
                )
            self._policy.accept(chunk, now_ns, self._output.position)
        except ChunkRefusedError:
            self.counters.chunks_refused += 1
            raise
        self.counters.chunks_accepted += 1

    def accept_teleop(self, command: TeleopCommand, now_ns: int) -> None:
        """Follow a person's command. Raises `TargetRefusedError`, and changes nothing, if it cannot be followed."""
        try:
            if self.mode is not Mode.TELEOP:
                raise TargetRefusedError(
                    f"teleop has no authority: the arm is in {self.mode.value} ({self.modes.reason})"
                )
            self._teleop.accept(command, now_ns, self._output.position)
        except TargetRefusedError:
            self.counters.teleop_refused += 1
            raise
        self.counters.teleop_accepted += 1

    def check_enable(self, now_ns: int) -> None:
        """Raise `ModeRefusedError` if the arm may not be enabled now; torque need not be on yet."""
        if self.mode is Mode.DISABLED:
            check_pose("enable", self._feedback.fresh("enable", now_ns), self.limits)
        elif self.modes.latched:
            self.modes.enable()  # refuses, with the reason

    def enable(self, now_ns: int) -> None:
        """Enter HOLD at the measured pose, once the arm reports torque on. Raises `ModeRefusedError`."""
        self.check_enable(now_ns)
        if self.mode is not Mode.DISABLED:
            return
        feedback = self._feedback.fresh("enable", now_ns)
        if not feedback.torque_on:
            raise ModeRefusedError("'enable' needs torque on all joints; the arm reports it off")
        self._restart_at(feedback)
        self.modes.enable()

    def disable(self) -> None:
        """Enter DISABLED, before torque is cut: the arm sinks. Only from HOLD at rest; raises `ModeRefusedError`."""
        if self.mode is Mode.DISABLED:
            return
        if self.mode is Mode.HOLD and not self.at_rest:
            raise ModeRefusedError("'disable' needs an arm at rest; hold and wait until it stands")
        self.modes.disable()

    def policy(self, active: bool, now_ns: int) -> None:
        """Give the policy authority or take it away. Raises `ModeRefusedError`."""
        was = self.mode
        self.modes.policy(active)
        if self.mode is not was:
            self._drop_motion()
        if self.mode is Mode.POLICY and was is not Mode.POLICY:
            self._policy.begin(now_ns)

    def teleop(self, active: bool, now_ns: int) -> None:
        """Give a person authority, also over the policy, or take it away. Raises `ModeRefusedError`."""
        was = self.mode
        self.modes.teleop(active)
        if self.mode is not was:
            self._drop_motion()
        if self.mode is Mode.TELEOP and was is not Mode.TELEOP:
            self._teleop.begin(now_ns)

    def hold(self, reason: str = "hold was requested") -> None:
        """Slow down within limits and stand, torque on. Raises `ModeRefusedError` where there is nothing to hold."""
        self.modes.hold(reason)
        self._drop_motion()

    def estop(self, reason: str = "e-stop was requested") -> None:
        """Slow down within limits and stand, latched. Torque stays on: a Piper without torque falls."""
        self.modes.estop(reason)
        self._drop_motion()

    def fault(self, reason: str) -> None:
        """Slow down within limits and stand, latched; does nothing in a latched mode."""
        if not self.modes.latched:
            self.modes.fault(reason)
            self._drop_motion()

    def go_home(self, now_ns: int) -> None:
        """Move to `HOME_POSITION` slowly, in HOLD. Raises `ModeRefusedError` in any other mode."""
        self._go("home", HOME_POSITION, now_ns)

    def go_park(self, now_ns: int) -> None:
        """Move to `PARK_POSITION` slowly, in HOLD: torque may go there. Raises `ModeRefusedError` otherwise."""
        self._go("park", PARK_POSITION, now_ns)

    def clear_fault(self, now_ns: int) -> None:
        """Leave ESTOP or FAULT, at the measured pose. Raises `ModeRefusedError` while the cause is still there."""
        if self.modes.latched:
            feedback = self._feedback.fresh("clear_fault", now_ns)
            if not self.at_rest:
                raise ModeRefusedError("'clear_fault' needs an arm at rest; wait until it stands")
            if feedback.torque_on:
                check_pose("clear_fault", feedback, self.limits)
            self._restart_at(feedback)
        self.modes.clear(self._feedback.torque_on)

    def _move(self, now_ns: int) -> None:
        output = self._output
        ended: str | None = None
        if self.mode is Mode.DISABLED:
            if self._feedback.newest is not None:
                output.restart(self._feedback.newest.position)
            return
        if self.mode is Mode.POLICY:
            ended = self._policy.move(now_ns, output)
        elif self.mode is Mode.TELEOP:
            ended = self._teleop.move(now_ns, output)
        elif self._joint_move is not None:
            stopped_by = self._joint_move.move(now_ns, output)
            if stopped_by is not None:
                ended = f"at {self._destination}" if not stopped_by else f"held back by {stopped_by} on the way"
        else:
            output.brake()
        if ended is not None:
            self.hold(ended)
        self.counters.ticks_limited += output.limited
        self.counters.ticks_guarded += bool(output.held_back_by)

    def _go(self, name: str, pose: Array, now_ns: int) -> None:
        if self.mode is not Mode.HOLD:
            raise ModeRefusedError(f"'{name}' needs mode HOLD; the arm is in {self.mode.value} ({self.modes.reason})")
        if not self.at_rest:
            raise ModeRefusedError(f"'{name}' needs an arm at rest; hold and wait until it stands")
        self._joint_move = JointMove(self._output.position, pose, self.limits, now_ns)
        self._destination = name
        self.modes.hold(f"going {name}" if name == "home" else f"going to {name}")

    def _watch_feedback(self, now_ns: int, feedback: Feedback | None) -> None:
        self._feedback.take(feedback)
        if self.mode is Mode.DISABLED or self.modes.latched:
            return
        if (reason := self._feedback.fault(now_ns)) is not None:
            self.fault(reason)
        elif (self.mode is not Mode.HOLD or self.homing) and (reason := self._feedback.hold(now_ns)) is not None:
            self.hold(reason)

    def _drop_motion(self) -> None:
        self._policy.clear()
        self._teleop.clear()
        self._joint_move = None

    def _restart_at(self, feedback: Feedback) -> None:
        self._drop_motion()
        self._output.restart(feedback.position)
