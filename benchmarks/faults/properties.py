"""The invariant over random situations: the slow tests of the limiter, and how many cases they have."""

import subprocess
import sys
from typing import Final

from benchmarks.faults.processes import ROOT

TESTS: Final = ROOT / "tests" / "motion_control" / "test_setpoint_properties.py"
LIMIT_S: Final = 4 * 3600.0
_COUNT: Final = "import {0}; print(sum(slow for _, _, slow in {0}.PROPERTIES.values()))"


def run_properties() -> tuple[int, str]:
    """How many cases there were, and what pytest said if one of them failed (empty if none did).

    Raises ValueError without the tests, which are part of the repository only.
    """
    if not TESTS.exists():
        raise ValueError(f"{TESTS} is not here: the properties are checked in the repository, not in an installation")
    told = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-m", "slow", str(TESTS)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    if told.returncode != 0:
        return 0, told.stdout[-2000:]
    counted = subprocess.run(
        [sys.executable, "-c", _COUNT.format(TESTS.stem)],
        cwd=TESTS.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    return int(counted.stdout), ""
