"""Status and diagnostics: every field is there, and a fault that nobody named is the driver's."""

import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from link_lab import PERIOD, Lab
from piper_driver import status
from piper_driver.loop_clock import LoopClock


@pytest.fixture
def lab():
    made = Lab()
    yield made
    made.close()


def test_not_ready_then_running_then_a_fault(lab):
    loop = LoopClock(PERIOD, 0)
    told = status.status_of(lab.link, "active", lab.now)
    assert told.mode == "DISABLED" and "[no-feedback]" in told.not_ready
    assert status.level_of(told, loop) == (DiagnosticStatus.WARN, told.not_ready)
    lab.enabled()
    lab.tick(200)  # until the collision levels were told
    told = status.status_of(lab.link, "active", lab.now)
    assert (told.mode, told.warning, told.not_ready, told.fault) == ("HOLD", "", "", "")
    assert status.DriverStatus.from_json(told.to_json()) == told
    assert status.level_of(told, loop) == (DiagnosticStatus.OK, "running")
    values = status.diagnostic_values(lab.link, loop, told, "")
    assert values["firmware"] == "S-V1.8-5" and values["faults"] == "" and values["bus_errors"] == 0
    lab.controller.fault("a callback of the driver failed")
    told = status.status_of(lab.link, "active", lab.now)
    assert told.fault == "driver" and told.remedy and "callback" in told.words
    assert status.level_of(told, loop)[0] == DiagnosticStatus.ERROR
