"""Opens the CAN interfaces that this project runs on, as python-can buses."""

import os
import socket
from typing import Any, Final

import can
from can.interfaces.udp_multicast import UdpMulticastBus

from piper_can.errors import BusError

INTERFACES: Final = ("socketcan", "udp_multicast", "virtual")
BITRATE: Final = 1_000_000
_RECEIVE_BUFFER_BYTES: Final = 4 * 1024 * 1024
_IP_MULTICAST_ALL: Final = 49  # linux/in.h; the socket module has no name for it


def open_bus(interface: str, channel: str, **kw: Any) -> can.BusABC:  # noqa: ANN401 - python-can's own keywords
    """Opens a CAN bus for one Piper.

    `interface` is `socketcan` (real hardware; `channel` is the network device, as `can0`), `udp_multicast` (processes
    of one host; `channel` is a multicast address, `port=` its UDP port) or `virtual` (threads of one process). Other
    keywords go to python-can. Frames on `udp_multicast` never leave the host. Every sender there hears its own frames,
    so a listener must go by ids.

    Raises `BusError` with what to do if the interface is unknown or cannot be opened.
    """
    if interface not in INTERFACES:
        raise BusError(f"CAN interface {interface!r} is not supported; use one of {', '.join(INTERFACES)}")
    if interface == "udp_multicast":
        kw = {"hop_limit": 0, **kw}
    try:
        bus = can.Bus(channel=channel, interface=interface, ignore_config=True, **kw)
    except (can.CanError, OSError, ImportError, ValueError, TypeError) as error:
        raise BusError(f"cannot open CAN {interface} {channel!r}: {error}. {_remedy(interface, channel)}") from error
    if interface == "udp_multicast":
        _tune_multicast_socket(bus)
    return bus


def _remedy(interface: str, channel: str) -> str:
    if interface == "socketcan":
        return (
            f"Is the adapter plugged in? Bring it up with: "
            f"sudo ip link set {channel} up type can bitrate {BITRATE} restart-ms 100"
        )
    if interface == "udp_multicast":
        return (
            "The channel must be a multicast address such as 239.74.163.2, and the host needs a route for it "
            "(sudo ip link set lo multicast on; sudo ip route add 239.0.0.0/8 dev lo)"
        )
    return "Check the channel name and the keywords"


def _tune_multicast_socket(bus: can.BusABC) -> None:
    """Hear only the own group, and have room for the frames of a time in which the process is not scheduled."""
    with socket.socket(fileno=os.dup(bus.fileno())) as handle:
        if handle.family == socket.AF_INET:
            handle.setsockopt(socket.IPPROTO_IP, _IP_MULTICAST_ALL, 0)
        handle.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)


def hears_itself(bus: can.BusABC) -> bool:
    """Whether the bus delivers to us what we send."""
    return isinstance(bus, UdpMulticastBus)


def to_message(frame_id: int, data: bytes) -> can.Message:
    """A python-can message of an 11-bit data frame."""
    return can.Message(arbitration_id=frame_id, data=data, is_extended_id=False, check=False)
