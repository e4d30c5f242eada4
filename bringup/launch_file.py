"""Turn a ROS 2 YAML launch file into the list of processes it describes.

The subset read here is `arg`, `set_env`, `node`, `executable` and `include` with the keys listed below, in the meaning
that ROS 2 Jazzy's `launch_yaml` gives them (documentation: https://docs.ros.org/en/jazzy/ "Using XML, YAML, and Python
for ROS 2 Launch Files"). Anything else is refused by name, so that a file that runs here also runs under `ros2 launch`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bringup.errors import LaunchFileError
from bringup.located_yaml import Block, load
from bringup.nodes import NodeNotFoundError, node_program, ros_arguments
from bringup.parameters import PARAMETER_KEYS, parameter
from bringup.process_spec import ProcessSpec
from bringup.scope import ACTION_KEYS, Scope


@dataclass
class Launch:
    """What a launch file and all that it includes come to."""

    processes: list[ProcessSpec] = field(default_factory=list)
    arguments: dict[str, str] = field(default_factory=dict)
    """Declared arguments with the values they have."""


def read_launch_file(path: Path, arguments: Mapping[str, str], environment: Mapping[str, str]) -> Launch:
    """Read `path` with argument values from the caller; raises LaunchFileError for anything that cannot be run."""
    reader = _Reader(dict(arguments), dict(environment))
    reader.read(path)
    unknown = sorted(set(arguments) - set(reader.launch.arguments))
    if unknown:
        known = ", ".join(reader.launch.arguments) or "none"
        raise LaunchFileError(path, None, f"has no argument '{unknown[0]}'; its arguments: {known}")
    return reader.launch


class _Reader:
    """Visits actions in order; like in ROS 2, variables and environment are shared with included files."""

    def __init__(self, variables: dict[str, str], environment: dict[str, str]) -> None:
        self.launch = Launch()
        self._variables = variables
        self._environment = environment
        self._including: list[Path] = []

    def read(self, path: Path) -> None:
        path = path.resolve()
        if path in self._including:
            raise LaunchFileError(path, None, "includes itself")
        document = load(path)
        if not isinstance(document, Block) or list(document) != ["launch"] or not isinstance(document["launch"], list):
            raise LaunchFileError(path, 1, "expected one key, 'launch', with a list of actions")
        self._including.append(path)
        for action in document["launch"]:
            self._visit(path, action)
        self._including.pop()

    def _visit(self, path: Path, action: Any) -> None:  # noqa: ANN401 - whatever the file holds
        if not isinstance(action, Block) or len(action) != 1:
            raise LaunchFileError(path, getattr(action, "line", None), "an action is a mapping with one key, its kind")
        ((kind, body),) = action.items()
        if kind not in ACTION_KEYS:
            known = ", ".join(ACTION_KEYS)
            raise LaunchFileError(path, action.line, f"action '{kind}' is not supported; supported: {known}")
        scope = Scope(path, kind, body, action.line, self._variables, self._environment)
        getattr(self, f"_visit_{kind}")(scope)

    def _visit_arg(self, scope: Scope) -> None:
        name = scope.raw("name")
        default = scope.optional("default")
        if name not in self._variables:
            if default is None:
                about = scope.raw("description", "no description")
                raise scope.error(f"argument '{name}' ({about}) has no default: give {name}:=VALUE", "name")
            self._variables[name] = default
        self.launch.arguments[name] = self._variables[name]

    def _visit_set_env(self, scope: Scope) -> None:
        self._environment[scope.text("name")] = scope.text("value")

    def _visit_include(self, scope: Scope) -> None:
        for entry in scope.entries("arg", {"name": str, "value": str}):
            self._variables[entry.text("name")] = entry.text("value")
        self.read(Path(scope.text("file")))

    def _visit_executable(self, scope: Scope) -> None:
        self._add(scope, scope.text("name"), scope.words("cmd"))

    def _visit_node(self, scope: Scope) -> None:
        name = scope.text("name")
        try:
            program = node_program(scope.text("pkg"), scope.text("exec"))
        except NodeNotFoundError as error:
            raise scope.error(str(error), "exec") from error
        parameters = dict(parameter(entry) for entry in scope.entries("param", PARAMETER_KEYS))
        remaps = [(e.text("from"), e.text("to")) for e in scope.entries("remap", {"from": str, "to": str})]
        ros = ros_arguments(name, scope.optional("namespace"), parameters, remaps)
        self._add(scope, name, [program, *scope.words("args"), *ros])

    def _add(self, scope: Scope, name: str, command: list[str]) -> None:
        if any(process.name == name for process in self.launch.processes):
            raise scope.error(f"two processes are named '{name}'", "name")
        own = {entry.text("name"): entry.text("value") for entry in scope.entries("env", {"name": str, "value": str})}
        respawn = scope.choice("respawn", {"true": True, "false": False}, "false")
        ends_launch = scope.choice("on_exit", {"shutdown": True, "": False}, "")
        if respawn and ends_launch:
            raise scope.error("'respawn' and 'on_exit: shutdown' exclude each other", "on_exit")
        self.launch.processes.append(
            ProcessSpec(
                name=name,
                command=tuple(command),
                environment={**self._environment, **own},
                on_console=scope.choice("output", {"screen": True, "log": False}, "log"),
                respawn=respawn,
                respawn_delay_s=scope.seconds("respawn_delay", 0.0),
                ends_launch=ends_launch,
                sigterm_timeout_s=scope.seconds("sigterm_timeout", 5.0),
                sigkill_timeout_s=scope.seconds("sigkill_timeout", 5.0),
            )
        )
