"""The host on a bus: what it sends, what it makes of what arrives, and what it refuses."""

import math
import uuid

import can
import numpy as np
import pytest
from piper_can import BusError, PiperHost, ValueOutOfRangeError, codec, open_bus
from piper_can.bus import to_message


@pytest.fixture
def buses():
    channel = uuid.uuid4().hex
    with open_bus("virtual", channel) as host_bus, open_bus("virtual", channel) as arm_bus:
        yield host_bus, arm_bus


def received(bus):
    frames = []
    while (message := bus.recv(0.05)) is not None:
        frames.append(codec.Frame(message.arbitration_id, bytes(message.data)))
    return frames


def test_commands_on_the_wire(buses):
    host_bus, arm_bus = buses
    host = PiperHost(host_bus)
    host.send_enable()
    host.send_motion_mode(40)
    host.send_joints(np.radians([10.0, 20.0, -30.0, 40.0, -50.0, 60.0]))
    host.send_gripper(0.03, 1.0)
    host.send_stop()
    host.send_reset_drops_arm()
    host.send_disable()
    host.request_firmware()
    frames = received(arm_bus)
    assert [(f.frame_id, f.data.hex()) for f in frames] == [
        (0x471, "0702000000000000"),
        (0x151, "0101280000000000"),
        (0x155, "0000271000004e20"),
        (0x156, "ffff8ad000009c40"),
        (0x157, "ffff3cb00000ea60"),
        (0x159, "0000753003e80100"),
        (0x150, "0100000000000000"),
        (0x150, "0200000000000000"),
        (0x471, "0701000000000000"),
        (0x4AF, "0100000000000000"),
    ]


@pytest.mark.parametrize("bad", [2.7, -2.7, math.nan, math.inf])
def test_nothing_is_sent_when_one_joint_is_bad(buses, bad):
    host_bus, arm_bus = buses
    host = PiperHost(host_bus)
    with pytest.raises(ValueOutOfRangeError, match="Joint6"):
        host.send_joints([0.0, 0.0, 0.0, 0.0, 0.0, bad])
    with pytest.raises(ValueOutOfRangeError, match=r"expected \(6,\)"):
        host.send_joints(np.zeros(7))
    with pytest.raises(ValueOutOfRangeError, match="Stroke"):
        host.send_gripper(bad, 1.0)
    with pytest.raises(ValueOutOfRangeError, match="Effort"):
        host.send_gripper(0.03, 6.0)
    assert received(arm_bus) == []


def test_poll_reads_state_and_firmware_and_ignores_its_own_frames(buses):
    host_bus, arm_bus = buses
    host = PiperHost(host_bus)
    frames = codec.encode_pairs(codec.JOINT_FEEDBACK, codec.JOINT_SIGNALS, [0.1, 0.2, -0.3, 0.4, 0.5, 0.6])
    frames += [codec.encode(i, {"Enabled": 1}) for i in codec.MOTOR_SLOW]
    frames += codec.encode_joint_targets([0.0] * 6)  # another bus member's, or an echo
    frames += [codec.encode_payload(codec.FIRMWARE_REQUEST)]  # the echo of our own request
    text = b"H-V1.2-1S-V1.8-5".ljust(88, b"\0")
    frames += [codec.encode_payload(text[i : i + 8]) for i in range(0, 88, 8)]
    for frame in frames:
        arm_bus.send(to_message(*frame))
    arm_bus.send(can.Message(arbitration_id=codec.JOINT_FEEDBACK[0], data=b"abc", is_extended_id=False))
    arm_bus.send(can.Message(arbitration_id=codec.JOINT_FEEDBACK[0], data=bytes(8), is_extended_id=True))
    assert host.firmware is None
    assert host.poll(1_000) == len(frames) + 2
    state = host.state
    assert state.joints is not None and state.joint_age_ns == 0
    np.testing.assert_allclose(state.joints.position_rad, [0.1, 0.2, -0.3, 0.4, 0.5, 0.6], atol=1e-5)
    assert state.all_enabled and host.firmware == "S-V1.8-5" and host.bad_frames == 1
    assert host.poll(5_000) == 0
    assert host.state.joint_age_ns == 4_000 and host.state.joints is state.joints


def test_one_poll_is_bounded(buses, monkeypatch):
    host_bus, arm_bus = buses
    monkeypatch.setattr("piper_can.host.MAX_FRAMES_A_POLL", 10)
    for _ in range(25):
        arm_bus.send(to_message(*codec.encode(codec.ARM_STATUS, {})))
    host = PiperHost(host_bus)
    assert [host.poll(i) for i in range(4)] == [10, 10, 5, 0]


def test_a_dead_bus_raises():
    bus = open_bus("virtual", uuid.uuid4().hex)
    host = PiperHost(bus)
    bus.shutdown()
    with pytest.raises(BusError, match="cannot read"):
        host.poll(0)
    with pytest.raises(BusError, match="cannot send CAN frames 0x471"):
        host.send_enable()
