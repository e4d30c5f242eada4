"""Report of training runs: `python -m sim_train.report RUN_DIR [OTHER_RUN_DIR ...]`.

Writes one HTML file that needs nothing else: curves of all diagnostics, success by task with intervals, videos of the
same seeds before and after RL, strategies that no demonstration shows, settings. Several runs (seeds, ablations) stand
side by side. A run may be going on or may have been interrupted. `--strategies 100` and `--videos 4` play finished runs
again for this. With `--tensorboard` it writes each run's event files beside its metrics instead. See docs/reports.md.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from sim_train.reports.page import write_page
from sim_train.reports.runs import RunError, TrainingRun, read_run
from sim_train.reports.tensorboard import TensorBoardMissingError, write_events


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m sim_train.report", description="Report of training runs.")
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN_DIR", help="output_dir of sim_train.train")
    parser.add_argument("--output", type=Path, help="the HTML file; by default report.html in the first RUN_DIR")
    parser.add_argument("--tensorboard", action="store_true", help="write event files to RUN_DIR/tensorboard instead")
    parser.add_argument(
        "--strategies", type=int, metavar="N", help="play N episodes a task by each player, to compare how"
    )
    parser.add_argument("--videos", type=int, metavar="N", help="film N held-out seeds a task before and after RL")
    chosen = parser.parse_args(arguments)
    try:
        roots = list(dict.fromkeys(chosen.runs))
        runs = [read_run(root) for root in roots]
        if chosen.strategies is not None or chosen.videos is not None:
            _replay(runs, chosen.strategies, chosen.videos)
            runs = [read_run(root) for root in roots]
        if chosen.tensorboard:
            for run in runs:
                print(f"event files: {write_events(run)}")
        else:
            path = chosen.output or chosen.runs[0] / "report.html"
            write_page(runs, path)
            print(f"report: {path}")
    except (RunError, TensorBoardMissingError, OSError) as error:
        print(f"sim_train.report: {error}", file=sys.stderr)
        return 1
    return 0


def _replay(runs: Sequence[TrainingRun], strategies: int | None, videos: int | None) -> None:
    from sim_train import replay  # loads physics and torch, which a page alone does not need
    from sim_train.checkpoint import CheckpointError

    for run in runs:

        def say(text: str, name: str = run.name) -> None:
            print(f"{name}: {text}", flush=True)

        try:
            if strategies is not None:
                replay.replay_strategies(run, strategies, say)
            if videos is not None:
                replay.replay_videos(read_run(run.root), videos, say)
        except CheckpointError as error:
            raise RunError(str(error)) from error


if __name__ == "__main__":
    raise SystemExit(main())
