"""Modes: authority order, latches, reasons in words."""

import itertools

import pytest
from motion_control import Mode, ModeMachine, ModeRefusedError

EVENTS = {
    "enable": lambda m: m.enable(),
    "disable": lambda m: m.disable(),
    "policy on": lambda m: m.policy(True),
    "policy off": lambda m: m.policy(False),
    "teleop on": lambda m: m.teleop(True),
    "teleop off": lambda m: m.teleop(False),
    "hold": lambda m: m.hold("because"),
    "estop": lambda m: m.estop("button"),
    "fault": lambda m: m.fault("hot"),
    "clear": lambda m: m.clear(torque_on=True),
}

# (mode, event) -> next mode; what is absent is refused or changes nothing
CHANGES = {
    ("DISABLED", "enable"): "HOLD",
    ("HOLD", "disable"): "DISABLED",
    ("HOLD", "policy on"): "POLICY",
    ("HOLD", "teleop on"): "TELEOP",
    ("POLICY", "policy off"): "HOLD",
    ("POLICY", "hold"): "HOLD",
    ("POLICY", "teleop on"): "TELEOP",
    ("TELEOP", "teleop off"): "HOLD",
    ("TELEOP", "hold"): "HOLD",
    **{(mode, "estop"): "ESTOP" for mode in ("DISABLED", "HOLD", "POLICY", "TELEOP", "FAULT")},
    **{(mode, "fault"): "FAULT" for mode in ("DISABLED", "HOLD", "POLICY", "TELEOP")},
    ("ESTOP", "clear"): "HOLD",
    ("FAULT", "clear"): "HOLD",
}


@pytest.mark.parametrize(("mode", "event"), list(itertools.product([m.value for m in Mode], EVENTS)))
def test_every_event_in_every_mode(mode, event):
    machine = ModeMachine()
    machine.mode, machine.reason = Mode(mode), "as set by the test"
    before = (machine.mode, machine.reason)
    try:
        EVENTS[event](machine)
    except ModeRefusedError as refused:
        assert (mode, event) not in CHANGES
        assert (machine.mode, machine.reason) == before
        assert mode in str(refused) and "as set by the test" in str(refused)
    else:
        assert machine.mode.value == CHANGES.get((mode, event), mode)
        assert machine.reason


def test_clearing_without_torque_ends_in_disabled():
    machine = ModeMachine()
    machine.enable()
    machine.fault("torque lost")
    assert machine.latched
    machine.clear(torque_on=False)
    assert machine.mode is Mode.DISABLED


def test_refusals_say_what_to_do():
    machine = ModeMachine()
    with pytest.raises(ModeRefusedError, match="enable the arm first"):
        machine.policy(True)
    machine.estop("button")
    with pytest.raises(ModeRefusedError, match="clear the e-stop first"):
        machine.policy(True)
