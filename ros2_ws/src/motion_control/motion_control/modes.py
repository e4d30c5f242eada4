"""Modes of the arm and who may change them: e-stop > teleop > policy > hold."""

from enum import Enum

from motion_control.errors import ModeRefusedError


class Mode(str, Enum):
    """Who moves the arm; exactly one at any time."""

    DISABLED = "DISABLED"
    """Torque off; nothing is sent."""
    HOLD = "HOLD"
    """The safe state: slows down within limits, then stands with torque on (or goes home when asked to)."""
    POLICY = "POLICY"
    """Plays the policy's chunks."""
    TELEOP = "TELEOP"
    """A person moves the arm."""
    ESTOP = "ESTOP"
    """Stopped by a person; stands with torque on until cleared."""
    FAULT = "FAULT"
    """Stopped by a fault; stands with torque on, if the arm still has it, until cleared."""


_LATCHED = (Mode.ESTOP, Mode.FAULT)


class ModeMachine:
    """The current mode and the reason for it, in words. A change that is not allowed raises `ModeRefusedError`."""

    def __init__(self) -> None:
        self.mode = Mode.DISABLED
        self.reason = "not enabled yet"

    @property
    def latched(self) -> bool:
        """Whether the mode is left only by `clear`."""
        return self.mode in _LATCHED

    def enable(self) -> None:
        """Torque came on: hold."""
        self._require("enable", Mode.DISABLED)
        self._set(Mode.HOLD, "enabled")

    def disable(self) -> None:
        """Torque goes off; only from HOLD."""
        self._require("disable", Mode.HOLD)
        self._set(Mode.DISABLED, "disabled on request")

    def policy(self, active: bool) -> None:
        """Give the policy authority, or take it away."""
        if active:
            self._require("policy", Mode.HOLD, Mode.POLICY)
            self._set(Mode.POLICY, "policy has authority")
        elif self.mode is Mode.POLICY:
            self._set(Mode.HOLD, "policy was taken off")

    def teleop(self, active: bool) -> None:
        """Give a person authority (also over the policy), or take it away."""
        if active:
            self._require("teleop", Mode.HOLD, Mode.POLICY, Mode.TELEOP)
            self._set(Mode.TELEOP, "teleop has authority")
        elif self.mode is Mode.TELEOP:
            self._set(Mode.HOLD, "teleop ended")

    def hold(self, reason: str) -> None:
        """Take authority away from everybody below the e-stop."""
        self._require("hold", Mode.HOLD, Mode.POLICY, Mode.TELEOP)
        self._set(Mode.HOLD, reason)

    def estop(self, reason: str) -> None:
        """Latch the e-stop; always possible."""
        self._set(Mode.ESTOP, reason)

    def fault(self, reason: str) -> None:
        """Latch a fault; an e-stop stays an e-stop."""
        if not self.latched:
            self._set(Mode.FAULT, reason)

    def clear(self, torque_on: bool) -> None:
        """Leave a latched mode: to HOLD if the arm has torque, else to DISABLED."""
        self._require("clear_fault", *_LATCHED)
        self._set(Mode.HOLD if torque_on else Mode.DISABLED, f"{self.mode.value} was cleared")

    def _set(self, mode: Mode, reason: str) -> None:
        self.mode, self.reason = mode, reason

    def _require(self, request: str, *allowed: Mode) -> None:
        if self.mode in allowed:
            return
        advice = {
            Mode.DISABLED: "enable the arm first",
            Mode.ESTOP: "clear the e-stop first (clear_fault)",
            Mode.FAULT: "remove the cause, then clear_fault",
        }.get(self.mode, "go to HOLD first")
        wanted = " or ".join(mode.value for mode in allowed)
        raise ModeRefusedError(
            f"'{request}' needs mode {wanted}; the arm is in {self.mode.value} ({self.reason}): {advice}"
        )
