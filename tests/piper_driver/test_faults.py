"""Faults, the confirmed reset, and that nobody else can cut the torque."""

import ast
from pathlib import Path

from piper_driver.confirmed_reset import PAUSE_NS, WINDOW_NS, ConfirmedReset
from piper_driver.faults import REMEDIES, Fault, FaultId

SOURCES = Path(__file__).parents[2] / "ros2_ws" / "src"
MAY_NAME_THE_RESET = {"piper_can/host.py", "piper_driver/arm_link.py"}
MAY_CALL_IT = {"piper_driver/requests.py"}


def test_every_fault_says_what_to_do():
    assert set(REMEDIES) == set(FaultId)
    text = str(Fault(FaultId.BUS_LOST, "network is down"))
    assert text.startswith("network is down [bus-lost]: plug the adapter in")


def test_every_fault_is_in_the_guide():
    guide = (SOURCES.parents[1] / "docs" / "bring-up.md").read_text()
    assert not [fault.value for fault in FaultId if f"`{fault.value}`" not in guide]


def test_a_reset_takes_two_calls_apart():
    reset, now = ConfirmedReset(), 10**12
    assert not reset.confirmed(now)
    assert not reset.confirmed(now + PAUSE_NS - 1), "a client that tries again is no person"
    assert reset.confirmed(now + 2 * PAUSE_NS)
    assert not reset.confirmed(now + 3 * PAUSE_NS), "it is used up"
    assert not reset.confirmed(now + 4 * PAUSE_NS + WINDOW_NS), "too late"


def test_only_the_confirmed_request_leads_to_the_reset():
    named, called = set(), set()
    for path in SOURCES.glob("*/*/**/*.py"):
        if path.relative_to(SOURCES).parts[0] == "virtual_lab":
            continue
        place = "/".join(path.relative_to(SOURCES).parts[1:])
        for node in ast.walk(ast.parse(path.read_text())):
            name = getattr(node, "attr", None) or getattr(node, "id", None)
            if name == "send_reset_drops_arm":
                named.add(place)
            if name == "reset_drops_arm":
                called.add(place)
            if name == "STOP_COMMAND" and not place.startswith("piper_can/"):
                raise AssertionError(f"{place} makes stop frames of its own")
    assert named <= MAY_NAME_THE_RESET and called == MAY_CALL_IT
