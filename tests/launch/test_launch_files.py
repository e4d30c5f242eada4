"""The launch files say what the nodes understand, and run: with the lab, the driver, the cameras and the recorder."""

import argparse
import ast
import importlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bringup.errors import LaunchFileError
from bringup.launch_file import read_launch_file

ROOT = Path(__file__).resolve().parents[2]
LAUNCH = ROOT / "launch"
WORKSPACE = ROOT / "ros2_ws" / "src"
FILES = {
    "episodes": {},
    "piper": {"front_serial": "0123", "wrist_serial": "819112070000"},
    "policy_server": {"checkpoint": "/a checkpoint"},
    "virtual_lab": {},
}
ROBOT = ["piper_driver", "camera_front", "camera_wrist", "policy_runner", "episode_recorder"]


def read(name, **more):
    return read_launch_file(LAUNCH / f"{name}.launch.yaml", {**FILES[name], **more}, {"PATH": os.environ["PATH"]})


def processes(name, **more):
    return {process.name: process for process in read(name, **more).processes}


def parameters(process):
    """Parameters on a node's command line, as text."""
    words = process.command
    return dict(words[k + 1].split(":=", 1) for k, word in enumerate(words[:-1]) if word == "-p")


def declared_parameters(package):
    """Names that the package's modules declare: literals given to a call, and fields of parameter dataclasses."""
    names = set()
    for path in (WORKSPACE / package / package).glob("*.py"):
        text = path.read_text()
        if "declare_parameter" not in text:
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
                names.add(node.args[0].value)
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                names.add(node.target.id)
    return names


def test_every_launch_file_is_covered_here():
    assert {path.name.removesuffix(".launch.yaml") for path in LAUNCH.glob("*.yaml")} == set(FILES)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("piper", ROBOT),
        ("virtual_lab", ["virtual_lab", *ROBOT]),
        ("episodes", ["virtual_lab", *ROBOT, "episode_runner"]),
        ("policy_server", ["policy_server"]),
    ],
)
def test_processes_start_in_an_order_that_stops_the_driver_after_its_users(name, expected):
    assert list(processes(name)) == expected


@pytest.mark.parametrize("name", FILES)
def test_every_parameter_is_declared_by_its_node(name):
    for process in processes(name).values():
        if "--ros-args" in process.command:
            (program,) = re.findall(r"(\w+)_node$", process.command[0])
            package = {"camera": "cameras", "policy_runner": "policy_bridge", "episode_runner": "policy_bridge"}
            declared = declared_parameters(package.get(program, program))
            for parameter in parameters(process):
                assert parameter in declared, f"{name}.launch.yaml: {process.name} declares no '{parameter}'"


def test_serial_numbers_and_addresses_stay_text():
    piper = processes("piper")
    assert parameters(piper["camera_front"])["serial"] == '"0123"'
    assert parameters(piper["camera_wrist"])["serial"] == '"819112070000"'
    assert parameters(processes("virtual_lab", server_address="7:7")["policy_runner"])["server_address"] == '"7:7"'


def test_arguments_reach_both_ends_of_every_connection():
    lab = processes("episodes", can_port="4711", control_address="127.0.0.1:4712", lab="tt", first_seed="2000007")
    assert parameters(lab["piper_driver"])["can_port"] == "4711" and "4711" in lab["virtual_lab"].command
    assert parameters(lab["episode_runner"])["lab_address"] == '"127.0.0.1:4712"'
    assert "127.0.0.1:4712" in lab["virtual_lab"].command and "2000007" in lab["virtual_lab"].command
    assert parameters(lab["camera_wrist"])["serial"] == '"tt"' and "tt" in lab["virtual_lab"].command
    assert parameters(lab["episode_runner"])["output_dir"] == parameters(lab["episode_recorder"])["output_dir"]
    assert lab["episode_runner"].ends_launch


@pytest.mark.parametrize(
    ("module", "name"), [("virtual_lab.__main__", "virtual_lab"), ("policy_server.__main__", "policy_server")]
)
def test_options_of_plain_programs_exist(module, name, monkeypatch):
    seen = {}

    def stop(parser, _args=None, _namespace=None):
        seen.update(parser._option_string_actions)
        raise SystemExit(0)

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", stop)
    with pytest.raises(SystemExit):
        importlib.import_module(module).main()
    command = processes(name)[name].command
    assert command[:3] == ("python3", "-m", name)
    for word in command:
        assert not word.startswith("--") or word in seen, f"{name} has no option {word}"


def test_the_real_robot_needs_its_cameras_named_and_keeps_torque_off():
    with pytest.raises(LaunchFileError, match=r"'front_serial' \(serial number .*give front_serial:=VALUE"):
        read_launch_file(LAUNCH / "piper.launch.yaml", {}, {})
    driver = parameters(processes("piper")["piper_driver"])
    assert driver["can_interface"] == '"socketcan"' and "auto_enable" not in driver
    assert not processes("piper")["piper_driver"].respawn, "whether a driver starts again is for a person to say"


@pytest.mark.parametrize("name", ["piper", "virtual_lab", "episodes"])
def test_every_node_gets_the_one_host_profile_and_its_domain(name):
    for process in processes(name, domain="17").values():
        profile = Path(process.environment["FASTRTPS_DEFAULT_PROFILES_FILE"])
        assert profile == LAUNCH / "fastdds_one_host.xml"
        assert process.environment["ROS_DOMAIN_ID"] == "17"
        assert process.environment["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "LOCALHOST"
    ElementTree.parse(LAUNCH / "fastdds_one_host.xml")


def free_port(kind):
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Graph:
    """A running launch with everything it printed."""

    def __init__(self, tmp_path):
        lab = f"launchtest{os.getpid()}"
        values = {
            "domain": 1 + os.getpid() % 100,
            "lab": lab,
            "can_port": free_port(socket.SOCK_DGRAM),
            "control_address": f"127.0.0.1:{free_port(socket.SOCK_STREAM)}",
            "output_dir": tmp_path / "episodes",
        }
        command = [sys.executable, "-m", "bringup", str(LAUNCH / "virtual_lab.launch.yaml")]
        command += [f"{name}:={value}" for name, value in values.items()] + ["--log-dir", str(tmp_path / "logs")]
        self.output = tmp_path / "console.txt"
        with self.output.open("w") as console:
            self.process = subprocess.Popen(command, cwd=tmp_path, stdout=console, stderr=subprocess.STDOUT)

    @property
    def text(self):
        return self.output.read_text()

    def wait_for(self, *patterns, start=0, timeout_s=60.0):
        """Wait until every pattern has been printed after position `start`; returns the last match."""
        deadline = time.monotonic() + timeout_s
        while not all(re.search(pattern, self.text[start:]) for pattern in patterns):
            assert time.monotonic() < deadline, f"not within {timeout_s} s: {patterns}\n{self.text[-4000:]}"
            assert self.process.poll() is None, self.text[-4000:]
            time.sleep(0.1)
        return re.search(patterns[-1], self.text[start:])

    def finish(self):
        self.process.send_signal(signal.SIGINT)
        self.process.wait(timeout=60)
        return self.process.returncode


@pytest.fixture
def graph(tmp_path):
    running = Graph(tmp_path)
    yield running
    if running.process.poll() is None:
        running.finish()


def test_the_virtual_lab_comes_up_survives_a_kill_and_stops_with_the_arm_held(graph):
    graph.wait_for(r"piper_driver\]: HOLD", r"front: streaming", r"wrist: streaming")
    pid = int(graph.wait_for(r"camera_front started, pid (\d+)")[1])
    seen = len(graph.text)
    os.kill(pid, signal.SIGKILL)
    graph.wait_for(r"camera_front ended with status 137", r"camera_front started, pid", r"front: streaming", start=seen)
    assert graph.finish() == 0, graph.text[-3000:]
    stops = re.findall(r"\[bringup\] (\w+) stopped, status (\d+)", graph.text)
    assert stops == [(name, "0") for name in (*reversed(ROBOT), "virtual_lab")]
    modes = re.findall(r"\[piper_driver\]: (HOLD|DISABLED|POLICY|FAULT)", graph.text)
    assert modes[-1] == "HOLD", "a stop must leave the arm holding"
