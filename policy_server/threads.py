"""How the threads of a server's process share its cores."""

import os
import sys

import cv2

SWITCH_INTERVAL_S = 0.0005
"""A thread that computes in Python holds up the others for a tenth of the usual time."""


def share_cores() -> None:
    """To be called before torch is imported: no pool spins, Python threads take turns."""
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    # Half of the cores: OpenMP threads that wait for each other spin, and starve the control loop of the same host.
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // 2)))  # torch reads it when imported
    cv2.setNumThreads(1)  # frames are decoded in parallel already
