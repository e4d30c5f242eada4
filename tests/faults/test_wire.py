"""The invariant over setpoints that went over CAN: made-up records, good and bad."""

import socket

import numpy as np
import pytest
from motion_control import MotionLimits
from piper_can import codec, open_bus
from piper_can.bus import to_message
from piper_description import HOME_POSITION

from benchmarks.faults.processes import free_port, wait_for
from benchmarks.faults.wire import Command, Wire, breaches, slows_ns, stands_ns, targets

PERIOD_NS = 5_000_000
LIMITS = MotionLimits.default()


def record(offsets, start_ns=10**9):
    """Commands of a driver that moves joint 1 by these offsets, one a period."""
    commands = []
    for tick, offset in enumerate(offsets):
        frames = codec.encode_joint_targets((HOME_POSITION[:6] + offset * np.eye(6)[0]).tolist())
        commands += [Command(start_ns + tick * PERIOD_NS, frame.frame_id, frame.data) for frame in frames]
    return commands


def ramp(speed, ticks=100):
    """Up to `speed`, rad/s, within the acceleration limit, and on at it."""
    steps = np.minimum(np.arange(ticks) * LIMITS.acceleration[0] * 0.9 * 0.005, speed) * 0.005
    return np.cumsum(steps)


def test_what_a_driver_may_do_is_no_breach():
    assert breaches(record(ramp(1.0))) == []
    assert breaches([]) == []


@pytest.mark.parametrize(
    ("offsets", "text"),
    [
        (np.append(ramp(1.0), 0.0), "too fast"),
        (np.append(ramp(0.5), ramp(0.5)[-1] + 0.01), "too hard"),
        (np.arange(100) * 3.5 * 0.005, "too fast"),
    ],
)
def test_what_it_may_not_do_is_named(offsets, text):
    found = breaches(record(offsets))
    assert found and any(text in each and "Joint1" in each for each in found)


def test_a_jump_after_a_pause():
    first, later = record(ramp(0.5)), record([ramp(0.5)[-1] + 0.05] * 10, start_ns=3 * 10**9)
    assert any("begins" in each for each in breaches(first + later))
    assert breaches(first + record([ramp(0.5)[-1]] * 10, start_ns=3 * 10**9)) == []


def test_outside_the_limits():
    frame = codec.Frame(0x155, codec.encode(0x2A5, {"Joint1": 2.8, "Joint2": 1.0}).data)
    found = breaches([Command(i * PERIOD_NS, *frame) for i in range(5)])
    assert found == ["Joint1 0.1820 rad outside its limits"]


def test_when_it_slows_and_when_it_stands():
    steps = np.full(100, 0.3 * 0.005)
    steps[60:80] *= np.linspace(1.0, 0.0, 20)
    steps[80:] = 0.0
    commands = record(np.cumsum(steps))
    fault_ns = 10**9 + 50 * PERIOD_NS
    assert slows_ns(commands, 0, fault_ns) == 10**9 + 63 * PERIOD_NS
    assert stands_ns(commands, fault_ns) == 10**9 + 78 * PERIOD_NS
    assert stands_ns(commands, 10**9 + 90 * PERIOD_NS) is None


def test_a_late_tick_is_not_taken_for_slowing_down():
    steps = np.full(100, 0.3 * 0.005)
    steps[60], steps[61] = 0.5 * steps[0], 1.5 * steps[0]
    assert slows_ns(record(np.cumsum(steps)), 0, 10**9 + 50 * PERIOD_NS) is None


def test_the_listener_keeps_commands_and_leaves_feedback():
    port = free_port(socket.SOCK_DGRAM)
    channel = "239.74.163.91"
    wire = Wire(channel, port)
    try:
        with open_bus("udp_multicast", channel, port=port) as bus:
            frames = codec.encode_joint_targets(HOME_POSITION[:6].tolist())
            for _ in range(20):
                bus.send(to_message(*codec.encode(codec.ARM_STATUS, {"CtrlMode": 1})))
                for frame in frames:
                    bus.send(to_message(*frame))
            wait_for(lambda: wire.mark() >= 60, 20.0, "the frames")
        heard = targets(wire.commands())
        assert [len(each.time_ns) for each in heard] == [20, 20, 20] and wire.mark() == 60
        np.testing.assert_allclose(heard[1].position[-1], HOME_POSITION[2:4], atol=2e-5)
        assert len(wire.latest(6)) == 6
        wire.forget()
        assert wire.commands() == []
    finally:
        wire.close()
