"""The fault matrix: `python -m benchmarks.faults [--rows 1,2] [--tries N] [--chaos N] [--properties] [--again]`.

Puts each fault into the real loop and measures what happens. Every try is kept at once in
benchmarks/results/faults.json, and docs/faults.md is written anew; a run that was interrupted goes on where it was.
"""

import argparse
import os
import signal
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from benchmarks.faults.processes import isolate_ros

HERE = Path(__file__).resolve().parents[1]
DEFAULT_TRIES = 5


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default="", help="numbers of rows, by commas (default: every row that has a test)")
    parser.add_argument("--tries", type=int, default=DEFAULT_TRIES, help="of each row (default: %(default)s)")
    parser.add_argument("--again", action="store_true", help="drop the tries of these rows and make them anew")
    parser.add_argument("--chaos", type=int, default=0, help="random runs of the whole loop (default: none)")
    parser.add_argument("--properties", action="store_true", help="check the invariant in 100,000 random cases, too")
    parser.add_argument("--first-seed", type=int, default=0, help="of the random runs (default: %(default)s)")
    parser.add_argument("--results", type=Path, default=HERE / "results", help="folder (default: %(default)s)")
    parser.add_argument("--page", type=Path, default=HERE.parent / "docs" / "faults.md", help="(default: %(default)s)")
    told = parser.parse_args(argv)
    if told.tries < 1 or told.chaos < 0:
        parser.error(f"--tries is {told.tries} and --chaos {told.chaos}; expected at least 1 and 0")
    if not told.rows:
        told.rows = [] if told.chaos or told.properties else None
    elif all(word.strip().isdecimal() for word in told.rows.split(",")):
        told.rows = [int(word) for word in told.rows.split(",")]
    else:
        parser.error(f"--rows is {told.rows!r}; expected numbers of rows by commas, as 1,22")
    return told


def main(argv: Sequence[str] | None = None) -> int:
    """Run what is asked for; 0 if every row that was asked for has passed, 1 if not, 130 after Ctrl-C."""
    told = _arguments(argv)
    scratch = HERE.parent / "outputs" / "faults" / f"run_{os.getpid()}"
    isolate_ros(scratch)
    from benchmarks.faults.matrix import run_matrix  # ROS reads its settings when it is imported

    console = Console()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the loop's processes are ended, too
    try:
        return run_matrix(told, scratch, console)
    except KeyboardInterrupt:
        console.print("interrupted; the same command goes on from here")
        return 130
    except ValueError as error:
        console.print(f"faults: {error}", style="red", highlight=False)
        return 2


if __name__ == "__main__":
    raise SystemExit(main())
