"""`python -m sim_train.datasets import EPISODES output=DIR`: learn from what a robot recorded.

EPISODES is the `output_dir` of the episode recorder. Settings: `ImportConfig`, as in `contract=outputs/run/rl` or
`episodes=[ep0001,ep0007]`. Prints what became of every episode; exit status 1, with the reason on stderr, if none can
be used.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from policy_api.errors import InvalidSpec
from policy_api.schema import PolicySpec
from rich.console import Console

from sim_train.checkpoint import CheckpointError, read_manifest
from sim_train.datasets.importing import ImportReport, Skipped, Taken, import_episodes
from sim_train.datasets.index import DatasetError
from sim_train.typed import ConfigError, build


@dataclass(frozen=True)
class ImportConfig:
    """What to import."""

    output: str
    """Directory of the data set; must not exist."""
    contract: str = ""
    """Checkpoint of a policy that is to learn from it; empty: the contract of the first usable episode."""
    episodes: list[str] = field(default_factory=list)
    """Episodes to take, whatever their outcome; empty: every success."""


def main(argv: list[str] | None = None) -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="sim_train.datasets", description="Make data sets.")
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("import", help="make a data set of recorded episodes")
    command.add_argument("source", type=Path, metavar="EPISODES", help="folder with a folder for each episode")
    command.add_argument("settings", nargs="*", metavar="NAME=VALUE", help="output=DIR, contract=DIR, episodes=[..]")
    arguments = parser.parse_args(argv)
    console = Console(soft_wrap=True)
    try:
        config = build(ImportConfig, OmegaConf.to_container(OmegaConf.from_dotlist(arguments.settings)))  # type: ignore[arg-type]
        report = import_episodes(
            arguments.source,
            Path(config.output),
            _contract(config.contract),
            config.episodes,
            lambda episode: console.print(_line(episode), highlight=False, markup=False),
        )
    except (CheckpointError, ConfigError, DatasetError, InvalidSpec, OSError, OmegaConfBaseException) as error:
        print(f"sim_train.datasets: {error}", file=sys.stderr)
        raise SystemExit(1) from error
    console.print(_summary(report, config.output), highlight=False, markup=False)


def _contract(checkpoint: str) -> PolicySpec | None:
    if not checkpoint:
        return None
    return PolicySpec.from_json(json.dumps(read_manifest(Path(checkpoint))["policy"]["spec"]))


def _line(episode: Taken | Skipped) -> str:
    if isinstance(episode, Skipped):
        return f"{episode.id}: skipped: {episode.reason}"
    cut = f", {episode.cut} numbers cut to the contract's bounds" if episode.cut else ""
    return f"{episode.id}: {episode.chunks} chunks{cut}"


def _summary(report: ImportReport, output: str) -> str:
    chunks, cut = (sum(getattr(taken, name) for taken in report.taken) for name in ("chunks", "cut"))
    return (
        f"{len(report.taken)} episodes with {chunks} chunks in {output}, {cut} numbers cut to the contract's bounds; "
        f"{len(report.skipped)} episodes skipped"
    )


if __name__ == "__main__":
    main()
