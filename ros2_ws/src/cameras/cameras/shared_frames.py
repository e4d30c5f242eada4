"""Colour frames from one process to others through a ring in shared memory.

One writer, any number of readers. The ring is a file, `/dev/shm/armature-<lab>-<camera>.frames`: a header, then slots.
Every slot carries a sequence number that is odd while the slot is being written, so a reader can tell a torn frame and
never returns one. The writer holds a lock on the file; the kernel drops it with the process, so a ring whose lock is
free is stale, and the next writer removes it.
"""

import fcntl
import glob
import mmap
import os
import re
import struct
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

SLOTS: Final = 8
_MAGIC: Final = b"ARMFRM01"
_HEADER: Final = struct.Struct("<8sIII4x4d")  # magic, width, height, slots, fx fy cx cy
_LATEST_OFFSET: Final = 64  # u64: sequence number of the newest whole frame, 0 for none
_HEADER_BYTES: Final = 128
_SLOT_BYTES: Final = 64  # per slot before its pixels: u64 sequence, i64 capture_ns
_U64: Final = struct.Struct("<Q")
_I64: Final = struct.Struct("<q")
_NAME: Final = re.compile(r"[A-Za-z0-9_]+")


class SharedFramesError(OSError):
    """A ring cannot be made or read; the text says what to do."""


@dataclass(frozen=True)
class Intrinsics:
    """Pinhole camera without distortion: size and focal lengths and principal point in pixels."""

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float


@dataclass(frozen=True)
class SharedFrame:
    """One colour picture."""

    rgb: NDArray[np.uint8]
    """(height, width, 3)."""
    capture_ns: int
    """Monotonic time of the exposure, ns (`time.monotonic_ns` of this host)."""
    frame_number: int
    """Counts up from 1; a gap is a lost frame."""
    intrinsics: Intrinsics


def ring_path(lab: str, camera: str) -> str:
    """Path of the ring of `camera` in `lab`; raises `SharedFramesError` for a name that is not [A-Za-z0-9_]+."""
    for name in (lab, camera):
        if not _NAME.fullmatch(name):
            raise SharedFramesError(f"{name!r} cannot name a lab or a camera; use letters, digits and _ only")
    return os.path.join(_folder(), f"armature-{lab}-{camera}.frames")


def _folder() -> str:
    return "/dev/shm" if os.path.isdir("/dev/shm") else tempfile.gettempdir()


def _slot_offset(sequence: int, slot_stride: int) -> int:
    return _HEADER_BYTES + (sequence // 2 % SLOTS) * slot_stride


def remove_stale_rings() -> list[str]:
    """Removes rings whose writer is gone; returns their paths."""
    removed = []
    for path in glob.glob(os.path.join(_folder(), "armature-*-*.frames")):
        if not _has_writer(path):
            Path(path).unlink(missing_ok=True)
            removed.append(path)
    return removed


def _has_writer(path: str) -> bool:
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    except PermissionError:
        return True  # another user's: leave it alone
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


class SharedFrameWriter:
    """Writes the frames of one camera. Use it from one thread, and close it (it is a context manager).

    Raises `SharedFramesError` if another process already writes this ring.
    """

    def __init__(self, lab: str, camera: str, intrinsics: Intrinsics) -> None:
        self._path = ring_path(lab, camera)
        remove_stale_rings()
        self._shape = (intrinsics.height, intrinsics.width, 3)
        self._stride = _SLOT_BYTES + int(np.prod(self._shape))
        self._sequence = 0
        size = _HEADER_BYTES + SLOTS * self._stride
        # Made under another name and locked before readers can see it.
        descriptor, temporary = tempfile.mkstemp(prefix="armature-new-", dir=_folder())
        os.ftruncate(descriptor, size)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._descriptor = descriptor
        self._map = mmap.mmap(descriptor, size)
        i = intrinsics
        _HEADER.pack_into(self._map, 0, _MAGIC, i.width, i.height, SLOTS, i.fx, i.fy, i.cx, i.cy)
        try:
            os.link(temporary, self._path)
        except FileExistsError:
            self._map.close()
            os.close(descriptor)
            raise SharedFramesError(
                f"camera {camera!r} of lab {lab!r} already has a writer ({self._path}); "
                "stop the other lab or give this one another name"
            ) from None
        finally:
            os.unlink(temporary)

    def write(self, rgb: NDArray[np.uint8], capture_ns: int) -> int:
        """Publishes one picture, (height, width, 3) uint8, exposed at monotonic `capture_ns`; its frame number."""
        if rgb.shape != self._shape or rgb.dtype != np.uint8:
            raise SharedFramesError(f"frame is {rgb.shape} {rgb.dtype}; this ring takes {self._shape} uint8")
        whole = self._sequence + 2
        offset = _slot_offset(whole, self._stride)
        _U64.pack_into(self._map, offset, whole - 1)
        _I64.pack_into(self._map, offset + 8, capture_ns)
        start = offset + _SLOT_BYTES
        np.frombuffer(self._map, np.uint8, rgb.size, start)[:] = rgb.reshape(-1)
        _U64.pack_into(self._map, offset, whole)
        _U64.pack_into(self._map, _LATEST_OFFSET, whole)
        self._sequence = whole
        return whole // 2

    def close(self) -> None:
        """Removes the ring; readers that have it open see no more frames."""
        if not self._map.closed:
            Path(self._path).unlink(missing_ok=True)
            self._map.close()
            os.close(self._descriptor)

    def __enter__(self) -> "SharedFrameWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class SharedFrameReader:
    """Reads the frames of one camera. Use it from one thread, and close it (it is a context manager).

    Raises `SharedFramesError` if there is no such ring (the lab is not running, or the names are wrong).
    """

    def __init__(self, lab: str, camera: str) -> None:
        self._path = ring_path(lab, camera)
        try:
            descriptor = os.open(self._path, os.O_RDONLY)
        except FileNotFoundError:
            raise SharedFramesError(
                f"no frames of camera {camera!r} in lab {lab!r} ({self._path} is missing); "
                f"start the lab: virtual_lab --lab {lab}"
            ) from None
        try:
            self._inode = os.fstat(descriptor).st_ino
            self._map = mmap.mmap(descriptor, 0, prot=mmap.PROT_READ)
        finally:
            os.close(descriptor)
        magic, width, height, slots, fx, fy, cx, cy = _HEADER.unpack_from(self._map, 0)
        if magic != _MAGIC or slots != SLOTS:
            raise SharedFramesError(f"{self._path} was written by another version of this project; restart the lab")
        self.intrinsics = Intrinsics(width, height, fx, fy, cx, cy)
        self._pixels = width * height * 3
        self._stride = _SLOT_BYTES + self._pixels

    def read(self, after: int = 0) -> SharedFrame | None:
        """The newest whole frame with a number above `after`, as a copy; None if there is none yet."""
        while True:
            whole = _U64.unpack_from(self._map, _LATEST_OFFSET)[0]
            if whole // 2 <= after:
                return None
            offset = _slot_offset(whole, self._stride)
            before = _U64.unpack_from(self._map, offset)[0]
            (capture_ns,) = _I64.unpack_from(self._map, offset + 8)
            start = offset + _SLOT_BYTES
            pixels = np.frombuffer(self._map, np.uint8, self._pixels, start).copy()
            if before == whole and _U64.unpack_from(self._map, offset)[0] == whole:
                rgb = pixels.reshape(self.intrinsics.height, self.intrinsics.width, 3)
                return SharedFrame(rgb, capture_ns, whole // 2, self.intrinsics)
            # the writer came round the whole ring during the copy: take the newer frame

    def is_current(self) -> bool:
        """Whether the ring still has its writer; if not, close this reader and open another one."""
        try:
            return os.stat(self._path).st_ino == self._inode and _has_writer(self._path)
        except FileNotFoundError:
            return False

    def close(self) -> None:
        """Lets go of the ring."""
        self._map.close()

    def __enter__(self) -> "SharedFrameReader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
