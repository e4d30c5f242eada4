"""Find the program behind `pkg` and `exec` of a launch file's node, and write its ROS arguments."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import entry_points
from pathlib import Path

Scalar = bool | int | float | str
ParameterValue = Scalar | list[Scalar]


class NodeNotFoundError(ValueError):
    """No installed program of that name belongs to the package."""


def node_program(package: str, executable: str) -> str:
    """Path of the console script `executable` whose module lies in the Python package `package`."""
    scripts = [script for script in entry_points(group="console_scripts") if script.module.split(".")[0] == package]
    if not scripts:
        raise NodeNotFoundError(f"package '{package}' has no installed program; run 'make setup'")
    if executable not in {script.name for script in scripts}:
        known = ", ".join(sorted(script.name for script in scripts))
        raise NodeNotFoundError(f"package '{package}' has no program '{executable}'; it has: {known}")
    program = Path(sys.executable).with_name(executable)
    if not program.is_file():
        raise NodeNotFoundError(f"{program} is not there although it is declared; run 'make setup'")
    return str(program)


def parameter_text(value: ParameterValue) -> str:
    """A parameter's value as the YAML that ROS parses: JSON, in which text is always quoted and stays text."""
    return json.dumps(value, ensure_ascii=False)


def ros_arguments(
    name: str | None,
    namespace: str | None,
    parameters: Mapping[str, ParameterValue],
    remappings: Sequence[tuple[str, str]],
) -> list[str]:
    """Command line behind the program: `--ros-args -r __node:=... -p name:=value`; empty if nothing is set."""
    words: list[str] = []
    if name:
        words += ["-r", f"__node:={name}"]
    if namespace:
        words += ["-r", f"__ns:={namespace if namespace.startswith('/') else '/' + namespace}"]
    for source, target in remappings:
        words += ["-r", f"{source}:={target}"]
    for parameter, value in parameters.items():
        words += ["-p", f"{parameter}:={parameter_text(value)}"]
    return ["--ros-args", *words] if words else []
