"""What went out over CAN, with the kernel's time of each frame, and whether it kept the invariant."""

import contextlib
import itertools
import os
import socket
import struct
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from can.interfaces.udp_multicast.utils import unpack_message
from motion_control import MotionLimits
from numpy.typing import NDArray
from piper_can import codec, open_bus
from piper_can.bus import to_message
from piper_description import JOINT_LIMITS

from benchmarks.faults.processes import hurry_thread

PERIOD_S: Final = 0.005
PAUSE_NS: Final = 100_000_000
"""Setpoints further apart than this are of two stretches of motion."""
QUANTUM_RAD: Final = 1.75e-5
"""A thousandth of a degree."""
MAX_RESTART_RAD: Final = 0.02
"""After a pause setpoints begin at the measured pose; an arm that holds is this close to where it was told to be."""
_ID_KEY: Final = b"arbitration_id\xcd"  # before an id above 255, in the datagrams of python-can's udp_multicast
_WATCHED: Final = frozenset(
    {codec.STOP_COMMAND, codec.MODE_COMMAND, codec.ENABLE_COMMAND, codec.ROLE_COMMAND, *codec.JOINT_TARGETS}
)
_SO_RCVBUFFORCE: Final = 33  # asm-generic/socket.h; the socket module has no name for it
_BUFFER_BYTES: Final = 64 * 1024 * 1024
_TIMESPEC: Final = struct.Struct("qq")

Array = NDArray[np.float64]


class Command(NamedTuple):
    """One command frame; monotonic ns at which the kernel took it."""

    time_ns: int
    frame_id: int
    data: bytes


class Wire:
    """Listens to a `udp_multicast` bus in a thread of its own, and keeps the commands."""

    def __init__(self, channel: str, port: int) -> None:
        self._bus = open_bus("udp_multicast", channel, port=port)
        self._socket = socket.socket(fileno=os.dup(self._bus.fileno()))
        self._socket.settimeout(0.2)
        with contextlib.suppress(PermissionError):  # only root may; a busy machine loses frames without it
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER_BYTES)
        self._offset_ns = time.time_ns() - time.monotonic_ns()
        self._raw: list[tuple[int, bytes]] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="wire", daemon=True)
        self._thread.start()

    def mark(self) -> int:
        """A place in the record, for `commands`."""
        return len(self._raw)

    def commands(self, since: int = 0) -> list[Command]:
        """The commands recorded after a mark, in order."""
        return [_command(*each) for each in self._raw[since:]]

    def latest(self, count: int) -> list[Command]:
        """The last commands recorded, in order; cheap, however long the record is."""
        return [_command(*each) for each in self._raw[-count:]]

    def send(self, frame: codec.Frame) -> int:
        """Put a frame on the bus, as somebody who should not; monotonic ns before it was sent."""
        now_ns = time.monotonic_ns()
        self._bus.send(to_message(*frame))
        return now_ns

    def forget(self) -> None:
        """Begin a new record."""
        self._raw = []

    def close(self) -> None:
        """Stop listening."""
        self._stop.set()
        self._thread.join(2)
        self._socket.close()
        self._bus.shutdown()

    def _run(self) -> None:
        hurry_thread()
        while not self._stop.is_set():
            try:
                data, extra, _, _ = self._socket.recvmsg(2048, 64)
            except TimeoutError:
                continue
            at = data.find(_ID_KEY)
            if at < 0 or int.from_bytes(data[at + len(_ID_KEY) :][:2], "big") not in _WATCHED:
                continue
            seconds, nanoseconds = _TIMESPEC.unpack_from(extra[0][2])
            self._raw.append((seconds * 1_000_000_000 + nanoseconds - self._offset_ns, data))


def _command(time_ns: int, data: bytes) -> Command:
    message = unpack_message(data)
    return Command(time_ns, message.arbitration_id, bytes(message.data))


@dataclass(frozen=True)
class Targets:
    """Joint targets of one pair of joints: times (N,) monotonic ns, values (N, 2) rad, the first joint's index."""

    time_ns: NDArray[np.int64]
    position: Array
    first_joint: int


def targets(commands: Sequence[Command]) -> list[Targets]:
    """The joint targets among `commands`, for each of the three frames."""
    found = []
    for pair, frame_id in enumerate(codec.JOINT_TARGETS):
        chosen = [c for c in commands if c.frame_id == frame_id]
        names = codec.JOINT_SIGNALS[2 * pair : 2 * pair + 2]
        values = [[codec.decode(frame_id, c.data)[name] for name in names] for c in chosen]
        times = np.array([c.time_ns for c in chosen], dtype=np.int64)
        found.append(Targets(times, np.array(values, dtype=np.float64).reshape(-1, 2), 2 * pair))
    return found


def breaches(commands: Sequence[Command], limits: MotionLimits | None = None) -> list[str]:
    """How these setpoints break the invariant: outside the limits, too fast, too sudden, or a jump; empty if not."""
    limits = limits or MotionLimits.default()
    found: list[str] = []
    for each in targets(commands):
        if not len(each.time_ns):
            continue
        joints = slice(each.first_joint, each.first_joint + 2)
        names = codec.JOINT_SIGNALS[joints]
        lower, upper = JOINT_LIMITS.lower[joints], JOINT_LIMITS.upper[joints]
        outside = np.maximum(lower - each.position, each.position - upper).max(axis=0)
        found += [f"{names[i]} {outside[i]:.4f} rad outside its limits" for i in (0, 1) if outside[i] > 1e-4]
        ends = np.flatnonzero(np.diff(each.time_ns) > PAUSE_NS) + 1
        stretches = np.split(each.position, ends)
        for before, after in itertools.pairwise(stretches):
            jump = np.abs(after[0] - before[-1])
            found += [f"{names[i]} begins {jump[i]:.4f} rad off" for i in (0, 1) if jump[i] > MAX_RESTART_RAD]
        for stretch in stretches:
            found += _in_motion(stretch, names, limits.velocity[joints], limits.acceleration[joints])
    return found


def _in_motion(stretch: Array, names: Sequence[str], velocity: Array, acceleration: Array) -> list[str]:
    found = []
    step = np.diff(stretch, axis=0)
    if len(step):
        over = np.abs(step).max(axis=0) - velocity * PERIOD_S - 2 * QUANTUM_RAD
        found += [f"{names[i]} moves {over[i] / PERIOD_S:.3f} rad/s too fast" for i in (0, 1) if over[i] > 0]
    if len(step) > 1:
        over = np.abs(np.diff(step, axis=0)).max(axis=0) - acceleration * PERIOD_S**2 - 4 * QUANTUM_RAD
        found += [f"{names[i]} accelerates {over[i] / PERIOD_S**2:.2f} rad/s2 too hard" for i in (0, 1) if over[i] > 0]
    return found


def slows_ns(commands: Sequence[Command], joint: int, since_ns: int, share: float = 0.85) -> int | None:
    """From when on the joint moved slower than `share` of what it did before `since_ns`, to the end of the record.

    None if it never did, or was as fast again later: late ticks and ripple make short steps, too.
    """
    each = targets(commands)[joint // 2]
    step = np.abs(np.diff(each.position[:, joint % 2]))
    time_ns = each.time_ns[1:]
    before = step[time_ns <= since_ns][-20:]
    if not len(before) or np.median(before) < 10 * QUANTUM_RAD:
        return None
    fast = np.flatnonzero(step >= share * np.median(before))
    later = time_ns[fast[-1] + 1 :]
    return int(later[0]) if len(later) and later[0] > since_ns else None


def stands_ns(commands: Sequence[Command], since_ns: int) -> int | None:
    """When the last setpoint after `since_ns` came that differs from the one before it; None if none does."""
    moved = [
        int(each.time_ns[1:][changed][-1])
        for each in targets(commands)
        if (changed := (each.time_ns[1:] > since_ns) & (np.abs(np.diff(each.position, axis=0)).max(axis=1) > 0)).any()
    ]
    return max(moved, default=None)
