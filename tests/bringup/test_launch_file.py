import itertools
import json
import sys
from pathlib import Path

import pytest

from bringup.errors import LaunchFileError
from bringup.launch_file import read_launch_file


def write(tmp_path, text, name="test.launch.yaml"):
    path = tmp_path / name
    path.write_text(text)
    return path


def test_reads_every_supported_action(tmp_path):
    write(
        tmp_path,
        "launch:\n- arg: {name: port, default: '1'}\n- arg: {name: host, default: h}\n"
        "- executable: {cmd: server $(var host) $(var port), name: server, on_exit: shutdown}\n",
        "inner.launch.yaml",
    )
    path = write(
        tmp_path,
        """
launch:
- arg: {name: who, description: the greeted}
- arg: {name: greeting, default: "hello $(var who)"}
- set_env: {name: COLOUR, value: red}
- include:
    file: $(dirname)/inner.launch.yaml
    arg:
    - {name: port, value: "70$(var who)"}
- executable:
    cmd: echo $(var greeting)
    name: echo
    output: screen
    respawn: "true"
    respawn_delay: 0.5
    sigterm_timeout: 2.0
    env:
    - {name: EXTRA, value: $(env COLOUR)}
""",
    )
    launch = read_launch_file(path, {"who": "you"}, {"PATH": "/bin"})
    server, echo = launch.processes
    assert server.command == ("server", "h", "70you") and server.ends_launch and not server.respawn
    assert server.environment == {"PATH": "/bin", "COLOUR": "red"}
    assert echo.command == ("echo", "hello you") and echo.respawn and echo.respawn_delay_s == 0.5
    assert echo.on_console and echo.sigterm_timeout_s == 2.0 and echo.environment["EXTRA"] == "red"
    assert launch.arguments == {"who": "you", "greeting": "hello you", "port": "70you", "host": "h"}


@pytest.mark.parametrize(
    ("text", "line", "complaint"),
    [
        ("launch:\n- group: []\n", 2, "action 'group' is not supported"),
        ("launch:\n- arg: {name: x}\n", 2, "argument 'x' .*has no default"),
        ("launch:\n- executable:\n    cmd: a\n    name: a\n    shell: true\n", 5, "key 'shell' of 'executable'"),
        ("launch:\n- executable:\n    cmd: a\n    name: a\n    respawn: true\n", 5, "'respawn' must be text"),
        ("launch:\n- executable:\n    cmd: a\n    name: a\n    respawn: sometimes\n", 5, "must be one of true, false"),
        ("launch:\n- executable:\n    cmd: a\n    name: a\n    respawn_delay: 2\n", 5, "a number with a point"),
        ("launch:\n- executable:\n    cmd: a\n    name: a\n    respawn_delay: -2.0\n", 5, "must not be negative"),
        (
            "launch:\n- executable:\n    cmd: a\n    name: a\n    on_exit: explode\n",
            5,
            "'on_exit' must be one of shutdown",
        ),
        ("launch:\n- executable:\n    cmd: a $(var y)\n    name: a\n", 3, "no argument 'y'"),
        ("launch:\n- executable: {cmd: a}\n", 2, "needs 'name'"),
        (
            "launch:\n- executable: {cmd: a, name: a}\n- executable: {cmd: a, name: a}\n",
            3,
            "two processes are named 'a'",
        ),
        ("launch:\n- executable: {cmd: a, cmd: b}\n", 2, "given twice"),
        ("launch:\n- executable: {cmd: a, name: a, env: 3}\n", 2, "'env' must be a list"),
        ("launch:\n- node: {pkg: nowhere, exec: x, name: x}\n", 2, "package 'nowhere' has no installed program"),
        ("launch:\n- node: {pkg: mypy, exec: x, name: x}\n", 2, "has no program 'x'; it has: .*mypy"),
        ("launch: {}\n", 1, "expected one key, 'launch'"),
        ("launch:\n- executable: [\n", 3, "not valid YAML"),
        ("launch:\n- include: {file: $(dirname)/test.launch.yaml}\n", None, "includes itself"),
        ("launch:\n- include: {file: /nonexistent.yaml}\n", None, "cannot be read"),
    ],
)
def test_refuses_by_name_with_file_and_line(tmp_path, text, line, complaint):
    path = write(tmp_path, text)
    with pytest.raises(LaunchFileError, match=complaint) as caught:
        read_launch_file(path, {}, {})
    if line:
        assert str(caught.value).startswith(f"{path}:{line}: ")


def test_refuses_an_argument_that_no_file_declares(tmp_path):
    path = write(tmp_path, "launch:\n- arg: {name: port, default: '1'}\n")
    with pytest.raises(LaunchFileError, match="no argument 'prot'; its arguments: port"):
        read_launch_file(path, {"prot": "2"}, {})


def node_parameters(tmp_path, params):
    text = (
        f"launch:\n- arg: {{name: v, default: '0123'}}\n- node: {{pkg: mypy, exec: mypy, name: n, param: {params}}}\n"
    )
    command = read_launch_file(write(tmp_path, text), {}, {}).processes[0].command
    return dict(word.split(":=", 1) for flag, word in itertools.pairwise(command) if flag == "-p"), command


def test_node_becomes_its_program_with_ros_arguments(tmp_path):
    text = (
        "launch:\n- node: {pkg: mypy, exec: mypy, name: n, namespace: left, args: '-q --x',"
        " remap: [{from: a, to: /b}]}\n"
    )
    command = read_launch_file(write(tmp_path, text), {}, {}).processes[0].command
    program = str(Path(sys.executable).with_name("mypy"))
    assert command == (
        *(program, "-q", "--x", "--ros-args", "-r", "__node:=n"),
        *("-r", "__ns:=/left", "-r", "a:=/b"),
    )


def test_parameters_have_the_types_that_ros_gives_them(tmp_path):
    values, _ = node_parameters(
        tmp_path,
        "[{name: rate, value: 200}, {name: scale, value: 1.5}, {name: flag, value: true}, {name: text, value: '5'},"
        " {name: serial, value: $(var v), type: str}, {name: inferred, value: 1$(var v)},"
        " {name: real, value: 1$(var v), type: float}, {name: topics, value: [/a, /b]}, {name: empty, value: ''}]",
    )
    assert {name: json.loads(value) for name, value in values.items()} == {
        "rate": 200,
        "scale": 1.5,
        "flag": True,
        "text": "5",
        "serial": "0123",
        "inferred": 10123,
        "real": 10123.0,
        "topics": ["/a", "/b"],
        "empty": "",
    }
    assert values["serial"] == '"0123"' and values["real"] == "10123.0"


@pytest.mark.parametrize(
    ("params", "complaint"),
    [
        ("[{name: a}]", "needs a value"),
        ("[{from: /x.yaml}]", "key 'from'"),
        ("[{name: a, value: [1, x]}]", "mixes types"),
        ("[{name: a, value: {b: 1}}]", "must be a scalar"),
        ("[{name: a, value: x$(var v), type: int}]", "must be of type int, not 'x0123'"),
        ("[{name: a, value: 1, type: list_of_int}]", "type 'list_of_int' is not supported"),
    ],
)
def test_refuses_parameters_that_ros_would_not_take(tmp_path, params, complaint):
    with pytest.raises(LaunchFileError, match=complaint):
        node_parameters(tmp_path, params)
