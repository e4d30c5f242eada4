"""Between the controller and the CAN bus: feedback in, setpoints out, torque on and off. Time comes in as `now_ns`."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from motion_control import ArmController, Feedback, ModeRefusedError, Setpoint
from piper_can import ArmState, ArmStatusCode, BusError, FirmwareVersionError, PiperHost
from piper_description import JOINT_LIMITS

MODE_FRAME_PERIOD_NS = 1_000_000_000
"""The mode frame is repeated, so that an arm that was power-cycled finds its way back to joint targets."""
TORQUE_RETRY_NS = 50_000_000
TORQUE_TIMEOUT_NS = 3_000_000_000
SEND_FAILURES_TO_FAULT = 2
"""Ticks in a row in which the bus took no frames."""
BUS_LOST_NS = 1_000_000_000


@dataclass
class _TorqueRequest:
    on: bool
    deadline_ns: int
    next_try_ns: int
    done: Callable[[bool, str], None]


class ArmLink:
    """The only writer of one arm's bus. Call `tick` once a period from one thread."""

    def __init__(self, host: PiperHost, controller: ArmController, gripper_effort_nm: float) -> None:
        self.controller = controller
        self.bus_errors = 0
        self.last_bus_error = ""
        self._host = host
        self._gripper_effort_nm = gripper_effort_nm
        self._torque: _TorqueRequest | None = None
        self._next_mode_frame_ns = 0
        self._send_failures = 0
        self._bus_down_since_ns: int | None = None

    @property
    def state(self) -> ArmState:
        """The arm as of the last tick."""
        return self._host.state

    def tick(self, now_ns: int) -> Setpoint:
        """One control period: read the bus, decide, send. Never raises for the bus; it ends in FAULT instead."""
        try:
            self._host.poll(now_ns)
        except BusError as error:
            self._note(error)
            self._bus_down_since_ns = self._bus_down_since_ns or now_ns
        else:
            self._bus_down_since_ns = None
        setpoint = self.controller.tick(now_ns, feedback_of(self._host.state))
        try:
            if self._torque is not None:
                self._work_on_torque(self._torque, now_ns)
            if setpoint.send:
                self._send(setpoint, now_ns)
            self._send_failures = 0
        except BusError as error:
            self._note(error)
            self._send_failures += 1
            if self._send_failures == SEND_FAILURES_TO_FAULT:
                self.controller.fault(str(error))
        return setpoint

    def bus_lost(self, now_ns: int) -> bool:
        """Whether the bus could not be read for so long that it has to be opened again."""
        return self._bus_down_since_ns is not None and now_ns - self._bus_down_since_ns > BUS_LOST_NS

    def switch_torque(self, on: bool, now_ns: int, done: Callable[[bool, str], None]) -> None:
        """Turn torque on and enter HOLD, or leave HOLD and turn it off. `done` gets success and text, now or later.

        There is no torque before the arm has said its firmware version, and none for a version that is not known.
        Raises `ModeRefusedError` if that is not allowed now.
        """
        if on:
            self.controller.check_enable(now_ns)
        else:
            self.controller.disable()
        self.cancel_torque("another request for torque came")
        self._torque = _TorqueRequest(on, now_ns + TORQUE_TIMEOUT_NS, now_ns, done)

    def cancel_torque(self, reason: str) -> None:
        """Give up a request for torque that is not answered yet."""
        if self._torque is not None:
            request, self._torque = self._torque, None
            request.done(False, reason)

    def _work_on_torque(self, request: _TorqueRequest, now_ns: int) -> None:
        state = self._host.state
        if request.on and state.all_enabled and self._host.firmware is not None:
            if self._knows_firmware():
                self._finish_enable(now_ns)
        elif not request.on and not state.enabled.any():
            self._torque = None
            request.done(True, "torque is off")
        elif now_ns > request.deadline_ns and request.on and self._host.firmware is None:
            self.cancel_torque(
                f"the arm did not say its firmware version within {TORQUE_TIMEOUT_NS / 1e9:.0f} s, so its joint zero "
                "is unknown; is it a leader arm (make it a follower), or is something else on this bus?"
            )
        elif now_ns > request.deadline_ns:
            joints = ", ".join(f"joint{i + 1}" for i in range(6) if state.enabled[i] != request.on)
            self.cancel_torque(
                f"{joints} did not report torque {'on' if request.on else 'off'} within "
                f"{TORQUE_TIMEOUT_NS / 1e9:.0f} s; check the arm's supply, its e-stop and its status"
            )
        elif now_ns >= request.next_try_ns:
            request.next_try_ns = now_ns + TORQUE_RETRY_NS
            if not request.on:
                self._host.send_disable()
            elif self._host.firmware is None:
                self._host.request_firmware()
            elif self._knows_firmware():
                self._host.send_enable()

    def _knows_firmware(self) -> bool:
        try:
            return self._host.variant is not None
        except FirmwareVersionError as error:
            self.cancel_torque(str(error))
            return False

    def _finish_enable(self, now_ns: int) -> None:
        try:
            self.controller.enable(now_ns)
        except ModeRefusedError as refused:
            self.cancel_torque(str(refused))
        else:
            request, self._torque = self._torque, None
            self._next_mode_frame_ns = now_ns
            if request is not None:
                request.done(True, "torque is on; the arm holds")

    def _send(self, setpoint: Setpoint, now_ns: int) -> None:
        # An arm that rests a little outside its firmware's limits is asked for the limit, as it takes nothing else.
        wire = np.clip(setpoint.position, JOINT_LIMITS.lower, JOINT_LIMITS.upper)
        if now_ns >= self._next_mode_frame_ns:
            self._next_mode_frame_ns = now_ns + MODE_FRAME_PERIOD_NS
            self._host.send_motion_mode(speed_percent=100)
        self._host.send_joints(wire[:6])
        self._host.send_gripper(float(wire[6]), self._gripper_effort_nm)

    def _note(self, error: BusError) -> None:
        self.bus_errors += 1
        self.last_bus_error = str(error)


def feedback_of(state: ArmState) -> Feedback | None:
    """The controller's view of the arm; None until joints, gripper, status and all six motors were heard."""
    joints, gripper, status = state.joints, state.gripper, state.status
    if joints is None or gripper is None or status is None or state.enabled_age_ns is None:
        return None
    position = np.append(joints.position_rad, gripper.stroke_m)
    stamp_ns = min(joints.stamp_ns, gripper.stamp_ns, status.stamp_ns)
    return Feedback(position, stamp_ns, state.all_enabled, _fault_of(state))


def _fault_of(state: ArmState) -> str | None:
    status = state.status
    if status is not None and status.arm_status is not ArmStatusCode.NORMAL:
        remedy = ""
        if status.arm_status is ArmStatusCode.EMERGENCY_STOP:
            remedy = "; only a reset ends it, and a reset cuts the torque: support the arm, then power-cycle it"
        return f"the arm's status is {status.arm_status.name}{remedy}"
    if status is not None and any(status.comm_error):
        silent = ", ".join(f"joint{i + 1}" for i, bad in enumerate(status.comm_error) if bad)
        return f"the arm cannot reach {silent}: check the cables inside the arm"
    if state.motor_faults:
        return f"motor fault: {', '.join(state.motor_faults)}"
    return None
