"""Opening buses: the three interfaces, isolation of multicast groups, and errors that say what to do."""

import os
import random
import socket
import time

import numpy as np
import pytest
from piper_can import BusError, PiperHost, codec, open_bus
from piper_can.bus import to_message

RANDOM = random.Random(os.getpid())


def group():
    return f"239.74.{RANDOM.randint(1, 254)}.{RANDOM.randint(1, 254)}"


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("", 0))
        return probe.getsockname()[1]


def poll_until(host, condition, timeout_s=2.0):
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        host.poll(time.monotonic_ns())
        if condition(host.state):
            return True
        time.sleep(0.002)
    return False


def test_udp_multicast_carries_a_state_between_two_buses():
    channel, port = group(), free_port()
    with open_bus("udp_multicast", channel, port=port) as a, open_bus("udp_multicast", channel, port=port) as b:
        host = PiperHost(a)
        host.send_enable()
        assert b.recv(1.0).arbitration_id == codec.ENABLE_COMMAND
        for frame in codec.encode_pairs(codec.JOINT_FEEDBACK, codec.JOINT_SIGNALS, [0.25] * 6):
            b.send(to_message(*frame))
        assert poll_until(host, lambda state: state.joints is not None)
        np.testing.assert_allclose(host.state.joints.position_rad, 0.25, atol=1e-5)
        assert host.state.joints.skew_ns < 2_500_000


def test_udp_multicast_frames_stay_on_the_host_and_in_their_group():
    first, port = "239.74.11.1", free_port()
    with (
        open_bus("udp_multicast", first, port=port) as a,
        open_bus("udp_multicast", first, port=port) as b,
        open_bus("udp_multicast", "239.74.12.1", port=port) as other,
        socket.socket(fileno=os.dup(a.fileno())) as handle,
    ):
        assert handle.getsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL) == 0
        a.send(to_message(0x471, bytes(8)))
        assert b.recv(1.0) is not None
        assert other.recv(0.1) is None


def test_a_stall_of_100_ms_loses_no_frame():
    channel, port = group(), free_port()
    with open_bus("udp_multicast", channel, port=port) as a, open_bus("udp_multicast", channel, port=port) as b:
        for _ in range(304):
            b.send(to_message(*codec.encode(codec.ARM_STATUS, {})))
        assert PiperHost(a).poll(0) == 304


def test_errors_say_what_to_do():
    with pytest.raises(BusError, match="'slcan' is not supported; use one of socketcan, udp_multicast, virtual"):
        open_bus("slcan", "/dev/ttyUSB0")
    with pytest.raises(BusError, match="ip link set can7 up type can bitrate 1000000 restart-ms 100"):
        open_bus("socketcan", "can7")
    with pytest.raises(BusError, match="must be a multicast address"):
        open_bus("udp_multicast", "not-an-address")
    with pytest.raises(BusError, match="must be a multicast address"):
        open_bus("udp_multicast", "127.0.0.1")
