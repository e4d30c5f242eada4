"""How a SocketCAN interface is set up, and what is wrong with it. Read once, before the loop starts."""

import json
import subprocess

from piper_can.bus import BITRATE

MIN_QUEUE = 20
"""Frames; one period of two commands is ten."""


def interface_problems(channel: str) -> list[str]:
    """What to change about the CAN interface `channel`, in words; empty if it is well. Blocks for up to 2 s."""
    try:
        shown = subprocess.run(
            ["ip", "-details", "-json", "link", "show", channel], capture_output=True, text=True, timeout=2, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return [f"cannot look at {channel}: {error}; install iproute2"]
    return problems_in(channel, shown.stdout) if shown.returncode == 0 else []  # opening it says what is wrong


def problems_in(channel: str, text: str) -> list[str]:
    """As `interface_problems`, from the JSON that `ip -details -json link show` printed."""
    try:
        link = json.loads(text)[0]
        data = link.get("linkinfo", {}).get("info_data", {})
        kind = link.get("linkinfo", {}).get("info_kind")
        queue = int(link.get("txqlen", MIN_QUEUE))
        bitrate = int(data.get("bittiming", {}).get("bitrate", BITRATE))
        restart_ms = int(data.get("restart_ms", 0))
    except (ValueError, TypeError, AttributeError, LookupError) as error:
        return [f"cannot read what 'ip' says about {channel}: {error!r}"]
    problems = []
    if queue < MIN_QUEUE:
        problems.append(f"{channel} queues {queue} frames only: sudo ip link set {channel} txqueuelen 100")
    if kind == "can" and bitrate != BITRATE:
        problems.append(f"{channel} runs at {bitrate} bit/s; a Piper needs {BITRATE}")
    if kind == "can" and restart_ms == 0:
        problems.append(
            f"{channel} stays off the bus after too many errors: bring it up with 'restart-ms 100' "
            f"(sudo ip link set {channel} down; "
            f"sudo ip link set {channel} up type can bitrate {BITRATE} restart-ms 100)"
        )
    return problems
