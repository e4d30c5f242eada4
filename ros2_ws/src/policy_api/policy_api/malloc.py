"""Keep glibc from giving the memory of every large message back to the kernel.

By default a block above 128 KiB may be a mapping of its own, made and torn down for every image. A process then lands
by chance on twice the latency of its neighbour. With these thresholds blocks of a few megabytes are kept and reused.
"""

import ctypes
import platform
from typing import Final

_M_TRIM_THRESHOLD: Final = -1  # of <malloc.h>
_M_TOP_PAD: Final = -2
_M_MMAP_THRESHOLD: Final = -3
_MMAP_THRESHOLD_BYTES: Final = 32 * 1024 * 1024  # the largest that glibc takes
_TRIM_THRESHOLD_BYTES: Final = 512 * 1024 * 1024
_TOP_PAD_BYTES: Final = 64 * 1024 * 1024


def keep_large_blocks() -> bool:
    """Set the thresholds of this process; call it once, early. False where the C library is not glibc."""
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return all(
        mallopt(parameter, value) == 1
        for parameter, value in (
            (_M_MMAP_THRESHOLD, _MMAP_THRESHOLD_BYTES),
            (_M_TRIM_THRESHOLD, _TRIM_THRESHOLD_BYTES),
            (_M_TOP_PAD, _TOP_PAD_BYTES),
        )
    )
