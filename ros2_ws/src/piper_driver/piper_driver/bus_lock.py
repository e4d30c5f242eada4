"""One driver per CAN channel: a lock that ends with its process."""

import fcntl
import os
import re
import tempfile
from pathlib import Path


class BusInUseError(OSError):
    """Another process on this machine already drives this CAN channel."""


class BusLock:
    """Exclusive lock on a CAN channel, held until `release` or the end of the process, however it ends."""

    def __init__(self, bus_name: str) -> None:
        """Take the lock of `bus_name`, as `socketcan can0`. Raises `BusInUseError` if another process has it."""
        name = re.sub(r"[^A-Za-z0-9_.-]+", "_", bus_name)
        self.path = Path(tempfile.gettempdir()) / f"piper_driver.{name}.lock"
        try:
            self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise BusInUseError(f"cannot open the lock of CAN '{bus_name}', {self.path}: {error.strerror}") from error
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(self._fd, 32).decode(errors="replace").strip() or "unknown"
            os.close(self._fd)
            raise BusInUseError(
                f"CAN '{bus_name}' is already driven by process {owner}; stop that driver or choose another channel"
            ) from None
        os.ftruncate(self._fd, 0)
        os.write(self._fd, f"{os.getpid()}\n".encode())

    def release(self) -> None:
        """Give the channel free."""
        os.close(self._fd)
