"""Between the controller and the CAN bus: feedback in, setpoints out, faults found and answered. Time is `now_ns`."""

from collections import Counter
from collections.abc import Callable

import numpy as np
from motion_control import ArmController, Mode, ModeRefusedError, Setpoint
from piper_can import ArmState, BusError, JointSample, PiperHost
from piper_description import JOINT_LIMITS

from piper_driver import arm_reports
from piper_driver.faults import Fault, FaultId
from piper_driver.feedback_filter import FeedbackFilter
from piper_driver.motion_watch import MotionWatch
from piper_driver.torque import Done, Questions, TorqueRequest

MODE_FRAME_PERIOD_NS = 1_000_000_000
"""The mode frame is repeated, so that an arm that was power-cycled finds its way back to joint targets."""
FAILURES_TO_FAULT = 2
"""Ticks in a row in which the bus could not be read, or took no frames."""
GIVE_UP_SENDING_NS = 100_000_000
"""After such a gap the arm gets no more targets before the fault is cleared: the next one would be a step."""
REOPEN_NS = (100_000_000, 200_000_000, 500_000_000, 1_000_000_000)
"""Pauses between attempts to open a lost bus again; the last one repeats."""
DEGRADED_NS = 15_000_000
YIELD_PAUSE_NS = 10_000_000_000
"""An arm that was pushed away twice within this time is not let go a second time."""


class ArmLink:
    """The only writer of one arm's bus. Call `tick` once a period from one thread."""

    def __init__(
        self,
        host: PiperHost,
        controller: ArmController,
        gripper_effort_nm: float,
        reopen: Callable[[], PiperHost] | None = None,
        tracking_error_rad: float = 0.15,
        feedback_fault_ns: int = 100_000_000,
    ) -> None:
        """`reopen` opens a lost bus anew (raises `BusError`); without it a lost bus stays lost."""
        self.controller = controller
        self.bus_errors = 0
        self.last_bus_error = ""
        self.fault: Fault | None = None
        """What stopped the arm last, until it is enabled or cleared."""
        self.counts: Counter[str] = Counter()
        """Faults so far, by id."""
        self.reopened = 0
        self.sent = False
        """Whether the last tick's setpoint went to the arm."""
        self.host = host
        self.filter = FeedbackFilter()
        self._gripper_effort_nm = gripper_effort_nm
        self._reopen = reopen
        self._watch = MotionWatch(tracking_error_rad)
        self._feedback_fault_ns = feedback_fault_ns
        self._torque: TorqueRequest | None = None
        self._questions = Questions()
        self._next_mode_frame_ns = 0
        self._read_failures = 0
        self._send_failures = 0
        self._failing_since_ns = 0
        self._muted = False
        self._next_open_ns: int | None = None
        self._open_tries = 0
        self._foreign_count = host.others.count
        self._yielding: Fault | None = None
        self._yielded_ns = -YIELD_PAUSE_NS

    @property
    def state(self) -> ArmState:
        """The arm as of the last tick."""
        return self.host.state

    @property
    def joints(self) -> JointSample | None:
        """The newest plausible joint angles."""
        return self.filter.joints

    @property
    def bus_is_open(self) -> bool:
        """Whether there is a bus to read; False while a lost one is not back yet."""
        return self._next_open_ns is None

    def degraded(self, now_ns: int) -> str:
        """What is not as it should be, without being a fault yet; empty if nothing."""
        joints = self.joints
        if joints is not None and now_ns - joints.stamp_ns > DEGRADED_NS:
            return f"no feedback for {(now_ns - joints.stamp_ns) / 1e6:.0f} ms"
        if self.filter.rejected and now_ns - self.filter.last_rejection_ns < 1_000_000_000:
            return f"feedback was left out: {self.filter.last_rejection}"
        gripper = self.state.gripper
        if gripper is not None and gripper.faults:
            return f"gripper: {', '.join(gripper.faults)}"
        levels = self.host.settings.collision_levels
        if levels is not None and not any(levels):
            return "the arm's own collision detection is off (0x47A)"
        return ""

    def tick(self, now_ns: int) -> Setpoint:
        """One control period: read the bus, decide, send. Never raises for the bus; it ends in FAULT instead."""
        self._read(now_ns)
        reported = arm_reports.reported_fault(self.state)
        feedback = self.filter.take(self.state, None if reported is None else str(reported))
        if self.controller.mode not in (Mode.DISABLED, Mode.ESTOP, Mode.FAULT):
            fault = self._bus_fault() or reported or self._torque_fault() or self._silence(now_ns)
            if fault is not None:
                self.stop_for(fault)
        setpoint = self.controller.tick(now_ns, feedback)
        if self._yielding is not None:
            self._yield_to_measured(self._yielding, now_ns)
        self._write(setpoint, now_ns)
        return setpoint

    def stop_for(self, fault: Fault) -> None:
        """Bring the arm to rest within limits, latched; torque stays on."""
        if not self.controller.modes.latched:
            self.counts[fault.id.value] += 1
            self.fault = fault
            self.controller.fault(str(fault))

    def switch_torque(self, on: bool, now_ns: int, done: Done) -> None:
        """Turn torque on and enter HOLD, or leave HOLD and turn it off. `done` gets success and text, now or later.

        Raises `ModeRefusedError` if that is not allowed now.
        """
        if on:
            if self.controller.mode is Mode.DISABLED and (fault := self.not_ready(now_ns)) is not None:
                raise ModeRefusedError(f"the arm gets no torque: {fault}")
            self.controller.check_enable(now_ns)
        else:
            self.controller.disable()
        self.cancel_torque("another request for torque came")
        self._torque = TorqueRequest(on, now_ns, done)

    def not_ready(self, now_ns: int) -> Fault | None:
        """Why the arm may not get torque now, as far as it has told; None if nothing speaks against it."""
        if not self.bus_is_open:
            return Fault(FaultId.BUS_LOST, self.last_bus_error)
        fault = arm_reports.not_ready(self.host, now_ns, self._feedback_fault_ns)
        if fault is None and self.joints is not None and now_ns - self.joints.stamp_ns > self._feedback_fault_ns:
            return Fault(FaultId.FEEDBACK_IMPLAUSIBLE, self.filter.last_rejection)
        return fault

    def cancel_torque(self, reason: str) -> None:
        """Give up a request for torque that is not answered yet."""
        if self._torque is not None:
            request, self._torque = self._torque, None
            request.done(False, reason)

    def clear_fault(self, now_ns: int) -> None:
        """Leave ESTOP or FAULT, at the measured pose. Raises `ModeRefusedError` while the cause is still there."""
        if self.controller.modes.latched:
            fault = self.not_ready(now_ns)
            if fault is None and self.state.all_enabled:
                fault = arm_reports.unidentified(self.host)  # after a lost bus it may be another arm
            if fault is not None:
                raise ModeRefusedError(f"'clear_fault' is refused: {fault}")
        self.controller.clear_fault(now_ns)
        self._begin(now_ns)

    def reset_drops_arm(self, now_ns: int) -> None:
        """Send the reset that clears the arm's errors and CUTS ITS TORQUE. Raises `ModeRefusedError`, `BusError`.

        Only for an arm that is DISABLED or in a latched mode, and only once its operator has confirmed it.
        """
        if self.controller.mode not in (Mode.DISABLED, Mode.ESTOP, Mode.FAULT):
            raise ModeRefusedError(f"'reset_drops_arm' is refused in {self.controller.mode.value}: call estop first")
        self.cancel_torque("the arm was reset")
        self.host.send_reset_drops_arm()

    def _read(self, now_ns: int) -> None:
        if self._next_open_ns is not None and not self._open_again(self._next_open_ns, now_ns):
            return
        try:
            self.host.poll(now_ns)
        except BusError as error:
            self._note(error)
            self._read_failures += 1
            if self._read_failures >= FAILURES_TO_FAULT:
                self._lose_bus(now_ns)
        else:
            self._read_failures = 0

    def _lose_bus(self, now_ns: int) -> None:
        self._muted = True
        self._open_tries, self._next_open_ns = 0, now_ns + REOPEN_NS[0]
        self.cancel_torque(self.last_bus_error)

    def _open_again(self, at_ns: int, now_ns: int) -> bool:
        if now_ns < at_ns or self._reopen is None:
            return False
        self._open_tries += 1
        try:
            self.host = self._reopen()
        except BusError as error:
            self._note(error)
            self._next_open_ns = now_ns + REOPEN_NS[min(self._open_tries, len(REOPEN_NS) - 1)]
            return False
        self._next_open_ns, self._read_failures = None, 0
        self._foreign_count = self.host.others.count
        self._questions = Questions()
        self.filter.joints = None
        self.reopened += 1
        return True

    def _bus_fault(self) -> Fault | None:
        if not self.bus_is_open:
            return Fault(FaultId.BUS_LOST, self.last_bus_error)
        if self.host.bus_off:
            self._muted = True
            return Fault(FaultId.BUS_OFF, "the CAN controller has left the bus: too many errors")
        if self.host.others.count != self._foreign_count:
            self._foreign_count = self.host.others.count
            return arm_reports.foreign_writer(self.host, 0)
        return None

    def _torque_fault(self) -> Fault | None:
        return arm_reports.torque_fault(self.state, self.filter.samples_since_torque)

    def _silence(self, now_ns: int) -> Fault | None:
        stamps = [part.stamp_ns for part in (self.joints, self.state.gripper, self.state.status) if part is not None]
        age_ns = now_ns - min(stamps, default=0)
        if age_ns <= self._feedback_fault_ns:
            return None
        if self.filter.last_rejection_ns > now_ns - self._feedback_fault_ns:
            words = f"no plausible feedback from the arm for {age_ns / 1e6:.0f} ms: {self.filter.last_rejection}"
            return Fault(FaultId.FEEDBACK_IMPLAUSIBLE, words)
        return Fault(FaultId.FEEDBACK_SILENT, f"no feedback from the arm for {age_ns / 1e6:.0f} ms")

    def _write(self, setpoint: Setpoint, now_ns: int) -> None:
        self.sent = False
        if not self.bus_is_open:
            return
        try:
            if self._torque is not None:
                self._work_on_torque(self._torque, now_ns)
            heard = self.state.joint_age_ns is not None and self.state.joint_age_ns < self._feedback_fault_ns
            if heard and self.controller.mode in (Mode.DISABLED, Mode.ESTOP, Mode.FAULT):
                self._questions.ask(self.host, now_ns)
            # After an e-stop nothing moves the arm any more, not even to brake it: it stands at its last target.
            if setpoint.send and not self._muted and self.controller.mode is not Mode.ESTOP:
                self._send(setpoint, now_ns)
            self._send_failures = 0
        except BusError as error:
            self._on_send_failure(error, now_ns)

    def _send(self, setpoint: Setpoint, now_ns: int) -> None:
        # An arm that rests a little outside its firmware's limits is asked for the limit, as it takes nothing else.
        wire = np.clip(setpoint.position, JOINT_LIMITS.lower, JOINT_LIMITS.upper)
        if now_ns >= self._next_mode_frame_ns:
            self._next_mode_frame_ns = now_ns + MODE_FRAME_PERIOD_NS
            self.host.send_motion_mode(speed_percent=100)
        self.host.send_joints(wire[:6])
        self.host.send_gripper(float(wire[6]), self._gripper_effort_nm)
        self.sent = True
        if self.joints is not None and not self.controller.modes.latched:
            fault = self._watch.check(wire[:6], self.joints)
            if fault is not None:
                self.stop_for(fault)
                if fault.id is FaultId.TRACKING_ERROR and now_ns - self._yielded_ns > YIELD_PAUSE_NS:
                    self._yielding, self._yielded_ns = fault, now_ns

    def _on_send_failure(self, error: BusError, now_ns: int) -> None:
        self._note(error)
        self._send_failures += 1
        if self._send_failures == 1:
            self._failing_since_ns = now_ns
        if self._send_failures >= FAILURES_TO_FAULT and self.controller.mode is not Mode.DISABLED:
            self.stop_for(Fault(FaultId.SEND_BLOCKED, str(error)))
        if now_ns - self._failing_since_ns > GIVE_UP_SENDING_NS:
            self._muted = True

    def _yield_to_measured(self, fault: Fault, now_ns: int) -> None:
        """Once the setpoint stands, hold the arm where it is: it does not press on what it met."""
        if self.controller.mode is not Mode.FAULT:
            self._yielding = None
        elif self.controller.at_rest:
            self._yielding = None
            try:
                self.clear_fault(now_ns)
            except ModeRefusedError:
                return  # it stays in FAULT: more than the way is wrong
            self.fault = fault
            self.controller.hold(str(fault))

    def _begin(self, now_ns: int) -> None:
        """The arm starts anew at its measured pose."""
        self._watch.forget()
        self._next_mode_frame_ns = now_ns
        self._send_failures, self._muted, self.fault = 0, False, None
        self._foreign_count = self.host.others.count

    def _work_on_torque(self, request: TorqueRequest, now_ns: int) -> None:
        if (reason := request.refusal(self.host, now_ns)) is not None:
            self.cancel_torque(reason)
        elif not request.reached(self.host):
            request.send(self.host, now_ns)
        elif request.on:
            self._finish_enable(request, now_ns)
        else:
            self._torque = None
            request.done(True, "torque is off")

    def _finish_enable(self, request: TorqueRequest, now_ns: int) -> None:
        try:
            self.controller.enable(now_ns)
        except ModeRefusedError as refused:
            self.cancel_torque(str(refused))
        else:
            self._torque = None
            self._begin(now_ns)
            request.done(True, "torque is on; the arm holds")

    def _note(self, error: BusError) -> None:
        self.bus_errors += 1
        self.last_bus_error = str(error)
