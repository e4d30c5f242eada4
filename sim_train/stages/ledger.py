"""What the rollouts of one update cost: seconds by what workers did, faults, and how busy the machine was."""

from __future__ import annotations

import os
import time
from typing import Any

from sim_train.rollouts.calls import PlayReport
from sim_train.rollouts.timers import Spent


class Ledger:
    """Sums up the reports of the calls that one update's episodes came from."""

    def __init__(self) -> None:
        self.open()

    def open(self) -> None:
        """Begin an update."""
        self._faults = self._restarts = 0
        self._spent = Spent()
        self._idle_s = 0.0
        self._began_s, self._cpu_s = time.monotonic(), time.process_time()

    def book(self, report: PlayReport) -> None:
        """Add a call."""
        self._faults += report.faults
        self._restarts += report.restarts
        self._spent.add(report.spent)
        self._idle_s += report.idle_s

    def close(self) -> dict[str, Any]:
        """End the update: what to record of it.

        "environment_s", "render_s", "inference_s", "idle_s": seconds of all rollout workers together, for episodes that
        the update learned from. "steps": control steps executed in these episodes; "refused_share", "late_share": share
        of their chunks that the driver would refuse, or that the limiter kept from arriving in time. "cores_busy":
        processor time of trainer, rollout and inference workers as a share of what the cores of this machine had;
        above 1 where workers are on other machines, too.
        """
        wall_s = max(time.monotonic() - self._began_s, 1e-9) * len(os.sched_getaffinity(0))
        executed = self._spent.executed
        counted = (
            {"steps": executed["steps"]}
            | {f"{name}_share": executed[name] / executed["chunks"] for name in ("refused", "late")}
            if executed["chunks"]
            else {}
        )
        return {
            "faults": self._faults,
            "restarts": self._restarts,
            "environment_s": self._spent.environment_s,
            "render_s": self._spent.render_s,
            "inference_s": self._spent.inference_s,
            "idle_s": self._idle_s,
            **counted,
            "cores_busy": (time.process_time() - self._cpu_s + self._spent.cpu_s) / wall_s,
        }
