"""Ask the kernel to run this process on time: SCHED_FIFO and locked memory.

Python's interpreter lock makes a single real-time thread useless: call this before other threads start, which
inherit it.
"""

import ctypes
import gc
import os

PRIORITY = 40
_MCL_CURRENT, _MCL_FUTURE, _MCL_ONFAULT = 1, 2, 4  # linux/mman.h


def request_realtime() -> list[str]:
    """Make this process real-time; returns what the kernel refused, in words (empty: all granted)."""
    refused = []
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))
    except OSError as error:
        refused.append(
            f"no real-time priority ({error.strerror}): the loop will be late under load; grant CAP_SYS_NICE or set "
            f"'rtprio {PRIORITY}' in /etc/security/limits.conf"
        )
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mlockall(_MCL_CURRENT | _MCL_FUTURE | _MCL_ONFAULT) != 0:
        refused.append(
            f"memory is not locked ({os.strerror(ctypes.get_errno())}): grant CAP_IPC_LOCK or set 'memlock unlimited'"
        )
    return refused


def freeze_garbage() -> None:
    """Keep what was made during start-up out of garbage collection, whose pauses would make the loop late."""
    gc.collect()
    gc.freeze()
