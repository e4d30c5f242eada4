"""What is said about a CAN interface, from the text of iproute2."""

import json

import pytest
from piper_driver.interface_check import problems_in


def link(bitrate=1_000_000, restart_ms=100, queue=100):
    data = {
        "state": "ERROR-ACTIVE",
        "restart_ms": restart_ms,
        "bittiming": {"bitrate": bitrate, "sample_point": "0.750"},
    }
    return json.dumps([{"ifname": "can0", "txqlen": queue, "linkinfo": {"info_kind": "can", "info_data": data}}])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (link(bitrate=500_000), "can0 runs at 500000 bit/s; a Piper needs 1000000"),
        (link(restart_ms=0), "restart-ms 100"),
        (link(queue=10), "can0 queues 10 frames only: sudo ip link set can0 txqueuelen 100"),
        ("nonsense", "cannot read what 'ip' says"),
        ("[]", "cannot read what 'ip' says"),
    ],
)
def test_what_is_wrong_is_named(text, problem):
    (found,) = problems_in("can0", text)
    assert problem in found


def test_nothing_to_say_about_a_good_one_and_about_a_virtual_one():
    assert problems_in("can0", link()) == []
    assert problems_in("vcan0", json.dumps([{"txqlen": 1000, "linkinfo": {"info_kind": "vcan"}}])) == []
