"""The host on a bus: what it sends, what it makes of what arrives, and what it refuses."""

import math
import uuid

import can
import numpy as np
import pytest
from piper_can import (
    BusError,
    FirmwareVersionError,
    MitTarget,
    PiperHost,
    ValueOutOfRangeError,
    codec,
    open_bus,
    variant_of,
)
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


def stamped(frame, timestamp_s):
    message = to_message(*frame)
    message.timestamp = timestamp_s
    return message


class StampedBus(can.BusABC):
    """Delivers messages exactly as they are stamped."""

    def __init__(self):
        super().__init__(channel="stamped")
        self.messages = []

    def send(self, msg, timeout=None):
        raise AssertionError("nothing is sent here")

    def _recv_internal(self, timeout):
        return (self.messages.pop(0), False) if self.messages else (None, False)


STATUS = codec.encode(codec.ARM_STATUS, {})


@pytest.fixture
def stamped_bus():
    with StampedBus() as bus:
        yield bus


def test_frames_that_waited_in_the_socket_are_as_old_as_they_are(stamped_bus):
    bus, wall_s = stamped_bus, [1000.0]
    host = PiperHost(bus, wall_clock_ns=lambda: round(wall_s[0] * 1e9))
    host.poll(0)
    bus.messages = [stamped(STATUS, 1000.05)]  # the arm falls silent after it, and the host stalls for 200 ms
    wall_s[0] = 1000.2
    host.poll(200_000_000)
    assert host.state.status_age_ns == pytest.approx(150_000_000, abs=1000)


def test_a_clock_that_jumps_makes_no_frame_older_than_the_poll_before_or_newer_than_now(stamped_bus):
    bus, wall_s = stamped_bus, [1000.0]
    host = PiperHost(bus, wall_clock_ns=lambda: round(wall_s[0] * 1e9))
    host.poll(0)
    for tick, jump_s in enumerate((3600.0, -7200.0, 0.0), start=1):
        bus.messages = [stamped(STATUS, wall_s[0])]
        wall_s[0] += jump_s
        host.poll(tick * 5_000_000)
        assert 0 <= host.state.status_age_ns <= 5_000_000


def test_bus_off_lasts_until_the_controller_or_a_frame_says_otherwise(stamped_bus):
    bus = stamped_bus
    host = PiperHost(bus)

    def poll(*messages):
        bus.messages = list(messages)
        host.poll(0)
        return host.bus_off

    def error(kind):
        return can.Message(arbitration_id=kind, is_error_frame=True, data=bytes(8))

    assert poll(error(0x020)) is False  # no acknowledgement: not bus-off yet
    assert poll(error(0x040)) is True
    assert poll(error(0x004)) is True
    assert poll(error(0x100)) is False
    assert poll(error(0x040)) is True
    assert poll(stamped(STATUS, 1.0)) is False
    assert host.bad_frames == 5


def test_commands_of_others_settings_and_unknown_ids(buses):
    host_bus, arm_bus = buses
    host = PiperHost(host_bus)
    host.send_enable()
    host.request_limits()
    host.request_settings()
    host.send_follower_role()
    host.poll(0)
    assert host.others.count == 0 and host.limits is None
    sent = received(arm_bus)
    assert [f.frame_id for f in sent] == [0x471] + [0x472] * 12 + [0x477] * 3 + [0x470]
    assert sent[-1].data.hex() == "fc00000000000000"
    frames = codec.encode_joint_targets([0.1, 0.2, -0.3, 0.4, 0.5, 0.6])
    text = b"S-V1.8-5".ljust(88, b"\0")
    frames += [codec.encode_payload(text[i : i + 8]) for i in range(0, 88, 8)]
    for motor in range(1, 7):
        limits = {"Motor": motor, "UpperAngle": 1.0, "LowerAngle": -1.0, "SpeedCount": 300}
        frames.append(codec.encode(codec.LIMITS_REPLY, limits))
        frames.append(codec.encode(codec.ACCELERATION_REPLY, {"Motor": motor, "Acceleration": 5.0}))
    frames += [codec.Frame(0x3A5, bytes(8)), codec.Frame(codec.JOINT_TARGETS[0], b"")]
    for frame in frames:
        arm_bus.send(to_message(*frame))
    host.poll(5)
    assert host.others.count == 4 and host.others.joints is not None and host.bad_frames == 1
    assert host.unknown_ids == {0x3A5}
    assert host.limits is not None and host.limits.problems() == () and host.limits.speed_rad_s[0] == pytest.approx(3.0)


def test_an_unknown_firmware_is_refused_when_its_meaning_is_asked_for(buses):
    host_bus, arm_bus = buses
    host = PiperHost(host_bus)
    assert host.variant is None
    for frame in (codec.encode_payload(b"S-V2.0-0"), codec.encode_payload(bytes(8))):
        arm_bus.send(to_message(*frame))
    host.poll(0)
    assert host.firmware == "S-V2.0-0"
    with pytest.raises(FirmwareVersionError, match="update Armature"):
        _ = host.variant


def test_mit_targets_go_out_whole_or_not_at_all(buses):
    host_bus, arm_bus = buses
    host, variant = PiperHost(host_bus), variant_of("S-V1.8-8")
    good = MitTarget(0.0, 0.0, 10.0, 0.8, 0.0)
    with pytest.raises(ValueOutOfRangeError, match="torque of joint3"):
        host.send_mit([good, good, MitTarget(0.0, 0.0, 10.0, 0.8, 17.0)], variant)
    assert received(arm_bus) == []
    host.send_mit([good, good], variant)
    assert [f.frame_id for f in received(arm_bus)] == [0x15A, 0x15B]
