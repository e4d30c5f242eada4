"""Run a ROS 2 YAML launch file: `python -m bringup FILE [name:=value ...]`.

Ctrl-C stops everything in order, the process that stands first in the file last. Exit status: 0 if all went well; the
status of the process whose end ended the launch (`on_exit: shutdown`); 1 if another process failed; 2 if the file or
its arguments are wrong.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from bringup.console import Console
from bringup.errors import LaunchFileError
from bringup.launch_file import read_launch_file
from bringup.supervisor import SUPERVISOR, Supervisor


def child_environment() -> dict[str, str]:
    """This process's environment, with this interpreter's programs first on the path and ROS's package index named."""
    environment = dict(os.environ)
    programs = str(Path(sys.executable).parent)
    environment["PATH"] = programs + os.pathsep + environment.get("PATH", os.defpath)
    environment.setdefault("AMENT_PREFIX_PATH", sys.prefix)
    environment.setdefault("PYTHONUNBUFFERED", "1")
    return environment


def parse_assignments(words: list[str]) -> dict[str, str]:
    """`["a:=1"]` -> `{"a": "1"}`; raises ValueError for a word of another form."""
    values = {}
    for word in words:
        name, separator, value = word.partition(":=")
        if not separator or not name:
            raise ValueError(f"'{word}' is not of the form name:=value")
        values[name] = value
    return values


def main() -> int:
    """Parse the command line, read the launch file, supervise its processes."""
    parser = argparse.ArgumentParser(prog="bringup", description="Run a ROS 2 YAML launch file without ROS's launch.")
    parser.add_argument("file", type=Path)
    parser.add_argument("arguments", nargs="*", metavar="name:=value", help="values for the file's arguments")
    parser.add_argument("--log-dir", type=Path, help="default: outputs/logs/<file>-<time>")
    options = parser.parse_args()
    stem = options.file.name.split(".")[0]
    log_dir = options.log_dir or Path("outputs/logs") / f"{stem}-{time.strftime('%Y%m%d-%H%M%S')}"
    try:
        launch = read_launch_file(options.file, parse_assignments(options.arguments), child_environment())
    except (LaunchFileError, ValueError) as error:
        print(f"bringup: {error}", file=sys.stderr)
        return 2
    log_dir.mkdir(parents=True, exist_ok=True)
    console = Console()
    console.emit(SUPERVISOR, f"logs in {log_dir}")
    return Supervisor(launch.processes, log_dir, console.emit).run()


if __name__ == "__main__":
    sys.exit(main())
