"""Look at checkpoints, make them of published policies, and give them back.

    python -m sim_train.checkpoint inspect DIR
    python -m sim_train.checkpoint import KIND WEIGHTS CONTRACT OUT [NAME=VALUE ..]
    python -m sim_train.checkpoint export-lerobot DIR OUT

Exit status 1, with the reason on stderr, if something cannot be used.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich.console import Console

from sim_train.checkpoint.exchange import export_lerobot, import_policy
from sim_train.checkpoint.files import CheckpointError
from sim_train.checkpoint.manifest import read_manifest
from sim_train.checkpoint.store import load_checked
from sim_train.checkpoint.tables import tables


def main(argv: list[str] | None = None) -> None:
    """Entry point."""
    arguments = _parser().parse_args(argv)
    try:
        if arguments.command == "inspect":
            _inspect(arguments.checkpoint)
        elif arguments.command == "import":
            revision = import_policy(
                arguments.kind, arguments.weights, arguments.contract, arguments.out, arguments.settings
            )
            print(f"{arguments.out}: revision {revision}")
        else:
            export_lerobot(arguments.checkpoint, arguments.out)
    except (CheckpointError, OSError) as error:
        print(f"sim_train.checkpoint: {error}", file=sys.stderr)
        raise SystemExit(1) from error


def _inspect(path: Path) -> None:
    policy, deviation = load_checked(path)
    console = Console()
    for table in tables(path, read_manifest(path), policy, deviation):
        console.print(table)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sim_train.checkpoint", description="Look at and exchange checkpoints.")
    commands = parser.add_subparsers(dest="command", required=True)
    inspect = commands.add_parser("inspect", help="check a checkpoint and print what is in it")
    inspect.add_argument("checkpoint", type=Path, metavar="DIR", help="directory of the checkpoint")
    made = commands.add_parser("import", help="make a checkpoint of published weights")
    made.add_argument("kind", metavar="KIND", help="pi0, smolvla or openvla")
    made.add_argument("weights", type=Path, metavar="WEIGHTS", help="directory of the published policy")
    made.add_argument("contract", type=Path, metavar="CONTRACT", help="its JSON, or a checkpoint made for it")
    made.add_argument("out", type=Path, metavar="OUT", help="directory of the checkpoint")
    made.add_argument("settings", nargs="*", metavar="NAME=VALUE", help="sizes of the kind, as tokenizer=PATH")
    given = commands.add_parser("export-lerobot", help="write pi0 or smolvla in LeRobot's layout")
    given.add_argument("checkpoint", type=Path, metavar="DIR", help="directory of the checkpoint")
    given.add_argument("out", type=Path, metavar="OUT", help="directory for LeRobot")
    return parser


if __name__ == "__main__":
    main()
