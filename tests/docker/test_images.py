"""What can be said about the images without an engine: see docker/README.md for what cannot."""

import json
import os
import re
import shlex
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from requirements import requirements

ROOT = Path(__file__).resolve().parents[2]
DOCKER = ROOT / "docker"
DOCKERFILES = sorted(DOCKER.glob("*.Dockerfile"))
INSTRUCTIONS = {"FROM", "RUN", "COPY", "WORKDIR", "ARG", "ENV", "USER", "EXPOSE", "VOLUME", "ENTRYPOINT", "CMD"}
HEAVY = {"torch", "transformers", "mujoco", "sapien", "gymnasium", "hydra-core"}
SERVICE_KEYS = {
    *("build", "image", "network_mode", "ipc", "command", "volumes", "device_cgroup_rules", "cap_add", "ulimits"),
    *("depends_on", "restart", "stop_signal", "stop_grace_period", "profiles"),
}


def instructions(path):
    """(instruction, arguments) pairs of a Dockerfile, with continued lines joined and comments left out."""
    lines = [line for line in path.read_text().splitlines() if line.strip() and not line.lstrip().startswith("#")]
    for line in re.sub(r"\\\n\s*", " ", "\n".join(lines)).splitlines():
        word, _, rest = line.partition(" ")
        yield word, rest.strip()


def of_kind(path, kind):
    return [rest for word, rest in instructions(path) if word == kind]


def copied(path):
    """Sources of every COPY."""
    return [source for rest in of_kind(path, "COPY") for source in shlex.split(rest)[:-1]]


def test_there_are_three_images():
    assert [path.stem for path in DOCKERFILES] == ["robot", "server", "train"]


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.stem)
def test_dockerfile_is_well_formed(path):
    words = [word for word, _ in instructions(path)]
    assert words[0] == "FROM" and set(words) <= INSTRUCTIONS
    assert words.count("ENTRYPOINT") == 1
    for kind in ("ENTRYPOINT", "CMD"):
        for rest in of_kind(path, kind):
            assert all(isinstance(word, str) for word in json.loads(rest))
    for rest in of_kind(path, "RUN"):
        assert not rest.endswith(("&&", "\\")) and "  && &&" not in rest
        if "apt-get install" in rest:
            assert "apt-get update" in rest and "rm -rf /var/lib/apt/lists" in rest


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.stem)
def test_every_copied_path_exists_and_is_not_ignored(path):
    sources = copied(path)
    assert "pyproject.toml" in sources and "constraints" in sources
    ignored = (ROOT / ".dockerignore").read_text().split()
    for source in sources:
        assert (ROOT / source).exists(), f"{path.name} copies {source}, which does not exist"
        assert source not in ignored


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.stem)
def test_extras_and_constraints_named_exist(path):
    text = " ; ".join(of_kind(path, "RUN"))
    extras = re.findall(r"\.\[([\w,]+)\]", text) + re.findall(r"requirements\.py (\w+)", text)
    assert extras, "installs nothing of the project"
    for names in extras:
        assert requirements(names.split(","))
    files = re.findall(r"-c (\S+)", text)
    assert len(files) == 1 and (ROOT / files[0]).is_file()


def test_a_misspelt_extra_is_an_error():
    with pytest.raises(KeyError):
        requirements(["robto"])


def test_the_robot_has_neither_torch_nor_a_simulator():
    path = DOCKER / "robot.Dockerfile"
    text = path.read_text()
    assert {Requirement(line).name for line in requirements(["robot"])}.isdisjoint(HEAVY)
    assert not any(source.startswith(("sim_train", "policy_server")) for source in copied(path))
    assert not re.search(r"pip install[^\n]*\btorch\b", text)
    assert of_kind(path, "FROM") == ["ros:jazzy-ros-base"]


def test_the_robot_installs_every_ros_package_that_the_nodes_name():
    named = set()
    for file in (ROOT / "ros2_ws/src").glob("*/package.xml"):
        named |= set(re.findall(r"<exec_depend>((?:std|sensor|trajectory|diagnostic|geometry)_\w+)<", file.read_text()))
    text = (DOCKER / "robot.Dockerfile").read_text()
    for package in named:
        assert f"ros-jazzy-{package.replace('_', '-')}" in text


def test_the_server_has_no_simulator_and_no_ros():
    names = {Requirement(line).name for line in requirements(["serve"])}
    assert names.isdisjoint({"mujoco", "sapien"}) and not any(name.startswith("ros-") for name in names)


def test_the_entrypoint_can_be_executed():
    source = DOCKER / "robot-entrypoint.sh"
    assert os.access(source, os.X_OK) and source.read_text().startswith("#!/bin/bash")
    assert source.relative_to(ROOT).as_posix() in copied(DOCKER / "robot.Dockerfile")


def test_compose_names_what_exists():
    compose = yaml.safe_load((DOCKER / "compose.yaml").read_text())
    assert set(compose) == {"services"} and set(compose["services"]) == {"server", "robot", "train"}
    for name, service in compose["services"].items():
        assert set(service) <= SERVICE_KEYS, f"{name} has keys that Compose does not know"
        build = service["build"]
        assert (DOCKER / build["context"]).resolve() == ROOT
        assert (ROOT / build["dockerfile"]).is_file() and build["dockerfile"] == f"docker/{name}.Dockerfile"
        for volume in service["volumes"]:
            assert re.fullmatch(r"(\$\{\w+:-[^}]+\}|[./]\S*):/\S+", volume), volume
        assert set(service.get("depends_on", [])) <= set(compose["services"])
    robot = compose["services"]["robot"]
    assert robot["network_mode"] == "host" and "/dev/bus/usb:/dev/bus/usb" in robot["volumes"]
    assert "SYS_NICE" in robot["cap_add"] and robot["ulimits"]["rtprio"] > 0


def test_compose_gives_the_launch_file_arguments_that_it_declares():
    robot = yaml.safe_load((DOCKER / "compose.yaml").read_text())["services"]["robot"]
    file = robot["command"][2]
    declared = {
        action["arg"]["name"] for action in yaml.safe_load((ROOT / file).read_text())["launch"] if "arg" in action
    }
    given = {word.split(":=")[0] for word in robot["command"] if ":=" in word}
    assert given <= declared and {"front_serial", "wrist_serial"} <= given


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.stem)
def test_the_program_that_starts_is_there(path):
    (entrypoint,) = of_kind(path, "ENTRYPOINT")
    words = json.loads(entrypoint)
    if words[0] == "python":
        module = ROOT / Path(*words[2].split("."))
        assert words[1] == "-m" and (module.with_suffix(".py").is_file() or (module / "__main__.py").is_file()), words
        assert words[2].split(".")[0] in copied(path)
    else:
        assert any(source.split("/")[-1].removesuffix(".sh") == words[0] for source in copied(path))
