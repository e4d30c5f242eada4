"""A request for torque on or off, worked on tick by tick until the arm reports it or time is up."""

from collections.abc import Callable
from dataclasses import dataclass

from piper_can import PiperHost

from piper_driver.arm_reports import joint_names, unfit, unidentified

TORQUE_RETRY_NS = 50_000_000
TORQUE_TIMEOUT_NS = 3_000_000_000

Done = Callable[[bool, str], None]


@dataclass
class TorqueRequest:
    """There is no torque before the arm has said which firmware and limits it has, and none for a wrong answer."""

    on: bool
    begin_ns: int
    done: Done
    next_try_ns: int = 0

    def reached(self, host: PiperHost) -> bool:
        """Whether the arm reports what was asked for (and, for torque on, may have it)."""
        if not self.on:
            return not host.state.enabled.any()
        return host.state.all_enabled and unidentified(host) is None

    def refusal(self, host: PiperHost, now_ns: int) -> str | None:
        """Why the request has failed, None while it has not."""
        if self.on and (fault := unfit(host)) is not None:
            return str(fault)
        if now_ns - self.begin_ns <= TORQUE_TIMEOUT_NS:
            return None
        within = f"within {TORQUE_TIMEOUT_NS / 1e9:.0f} s"
        if self.on and (fault := unidentified(host)) is not None:
            return f"{fault.words} {within} [{fault.id.value}]: {fault.remedy}"
        joints = joint_names(i for i in range(6) if host.state.enabled[i] != self.on)
        return (
            f"{joints} did not report torque {'on' if self.on else 'off'} {within}; "
            "check the arm's supply, its e-stop and its status"
        )

    def send(self, host: PiperHost, now_ns: int) -> None:
        """Ask the arm, again every 50 ms. Raises `BusError`."""
        if now_ns < self.next_try_ns or (self.on and unidentified(host) is not None):
            return
        self.next_try_ns = now_ns + TORQUE_RETRY_NS
        if self.on:
            host.send_enable()
        else:
            host.send_disable()


class Questions:
    """Asks an arm for firmware, limits and settings, a few frames at a time, until it has answered."""

    PERIOD_NS = 100_000_000

    def __init__(self) -> None:
        self._next_ns = 0
        self._turn = 0

    def ask(self, host: PiperHost, now_ns: int) -> None:
        """Send the next question if one is due. Raises `BusError`."""
        if now_ns < self._next_ns:
            return
        self._next_ns = now_ns + self.PERIOD_NS
        self._turn += 1
        if host.firmware is None:
            host.request_firmware()
        elif unidentified(host) is not None:
            host.request_limits()
        elif host.settings.collision_levels is None and self._turn % 10 == 0:
            host.request_settings()
