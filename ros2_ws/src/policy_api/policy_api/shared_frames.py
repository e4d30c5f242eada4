"""Frames handed to a policy server on the same host through memory that both can read.

The robot writes encoded frames into a ring of slots, a file in /dev/shm with a name that nobody can guess, which only
its own user may open. A message then carries name, place, size and ticket instead of the bytes. A slot's header holds
the ticket while its bytes are whole and 0 while they are written, so a reader that finds the same ticket before and
after it copied the bytes has the frame that was meant; a torn or overwritten one is refused.

Both sides read and write by system call: a ring that is truncated under a reader gives an error, not a crash. The
writer holds a lock on the ring, which the kernel drops with the process; the next ring that anybody makes removes what
dead processes left.
"""

import errno
import fcntl
import os
import re
import secrets
import stat
import struct
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final

from policy_api.errors import InvalidObservation, SharedFramesUnavailable

FOLDER: Final = Path("/dev/shm")
MAX_FRAME_BYTES: Final = 8 * 1024 * 1024
"""Largest frame that a reader takes."""
MAX_SLOTS: Final = 1024

_NAME: Final = re.compile(r"armature-policy-[0-9a-f]{32}")
_TICKET: Final = struct.Struct("<Q")
_HEADER_BYTES: Final = 64


@dataclass(frozen=True)
class SharedBytes:
    """Where a frame lies: ring, first byte, number of bytes, and what its slot's header holds while it is whole."""

    name: str
    offset: int
    size: int
    ticket: int


class SharedFrameRing:
    """The writing side. Use it from one thread at a time, and close it (it is a context manager).

    A frame stays readable until `slots` newer ones were written.
    Raises SharedFramesUnavailable if the host has no /dev/shm or not enough of it.
    """

    def __init__(self, slots: int, slot_bytes: int, folder: Path = FOLDER) -> None:
        if not (1 <= slots <= MAX_SLOTS and 1 <= slot_bytes <= MAX_FRAME_BYTES):
            raise ValueError(
                f"a ring has 1..{MAX_SLOTS} slots of 1..{MAX_FRAME_BYTES} bytes; asked for {slots} of {slot_bytes}"
            )
        remove_stale_rings(folder)
        self.slot_bytes = slot_bytes
        self._slots = slots
        self._stride = _HEADER_BYTES + slot_bytes
        self._written = 0
        self._first_ticket = 1 + secrets.randbits(62)
        name = secrets.token_hex(16)
        self._path = folder / f"armature-policy-{name}"
        hidden = folder / f"armature-new-{name}"
        self._descriptor = -1
        try:
            self._descriptor = os.open(hidden, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.rename(hidden, self._path)  # locked before others may take it for a stale one
            os.posix_fallocate(self._descriptor, 0, slots * self._stride)
        except OSError as error:
            hidden.unlink(missing_ok=True)
            self.close()
            raise SharedFramesUnavailable(
                f"no ring of {slots} x {slot_bytes} bytes in {folder} ({error.strerror}); free some of it "
                "(docker run --shm-size), or send frames inside the messages (shared_memory=False)"
            ) from error

    def write(self, data: bytes) -> SharedBytes:
        """Put a frame of at most `slot_bytes` into the next slot; ValueError if it is longer or empty."""
        if not 1 <= len(data) <= self.slot_bytes:
            raise ValueError(f"frame has {len(data)} bytes; a slot takes 1..{self.slot_bytes}")
        offset = self._written % self._slots * self._stride
        ticket = self._first_ticket + self._written
        os.pwrite(self._descriptor, _TICKET.pack(0), offset)
        _write_all(self._descriptor, data, offset + _HEADER_BYTES)
        os.pwrite(self._descriptor, _TICKET.pack(ticket), offset)
        self._written += 1
        return SharedBytes(self._path.name, offset + _HEADER_BYTES, len(data), ticket)

    def close(self) -> None:
        """Remove the ring. A frame that nobody has read yet is gone."""
        if self._descriptor >= 0:
            self._path.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> "SharedFrameRing":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read_shared(place: SharedBytes, folder: Path = FOLDER) -> bytes:
    """Copy a frame out of another process's ring. InvalidObservation if it is not there, not whole, or overwritten."""
    if not _NAME.fullmatch(place.name):
        raise InvalidObservation(f"{place.name[:64]!r} names no ring of frames; the client makes the names")
    if not (1 <= place.size <= MAX_FRAME_BYTES and place.offset >= _HEADER_BYTES and place.ticket):
        raise InvalidObservation(
            f"a shared frame has 1..{MAX_FRAME_BYTES} bytes behind a header of {_HEADER_BYTES}, and a ticket; "
            f"got {place.size} bytes at {place.offset}, ticket {place.ticket}"
        )
    try:
        descriptor = os.open(folder / place.name, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise InvalidObservation(
            f"ring {place.name} cannot be opened here ({error.strerror}); robot and server must run on one host, as "
            "one user, and share /dev/shm. Otherwise send frames inside the messages"
        ) from error
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or place.offset + place.size > found.st_size:
            raise InvalidObservation(f"ring {place.name} has no {place.size} bytes at {place.offset}")
        data = _whole(descriptor, place)
    finally:
        os.close(descriptor)
    if data is None:
        raise InvalidObservation("the frame was overwritten before it was read; send a newer observation")
    return data


def remove_stale_rings(folder: Path = FOLDER) -> list[Path]:
    """Remove the rings of dead processes of this user; returns what was removed."""
    removed = []
    for path in folder.glob("armature-policy-*"):
        if _NAME.fullmatch(path.name) and not _has_writer(path):
            path.unlink(missing_ok=True)
            removed.append(path)
    return removed


def is_local_peer(peer: str) -> bool:
    """Whether gRPC's `context.peer()` is on this host: a Unix socket or the loopback interface."""
    return peer.startswith(("unix:", "ipv4:127.", "ipv6:[::1]", "ipv6:%5B::1%5D"))


def _write_all(descriptor: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written


def _whole(descriptor: int, place: SharedBytes) -> bytes | None:
    header = place.offset - _HEADER_BYTES
    expected = _TICKET.pack(place.ticket)
    if os.pread(descriptor, _TICKET.size, header) != expected:
        return None
    data = os.pread(descriptor, place.size, place.offset)
    if len(data) != place.size or os.pread(descriptor, _TICKET.size, header) != expected:
        return None
    return data


def _has_writer(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        return error.errno != errno.ENOENT  # another user's: leave it alone
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
