"""The ROS packages are the same programs for colcon as for pip."""

import ast
import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = sorted(path.parent for path in (ROOT / "ros2_ws" / "src").glob("*/package.xml"))
ROS_PACKAGES = {"rclpy", "std_msgs", "sensor_msgs", "trajectory_msgs", "diagnostic_msgs", "std_srvs", "geometry_msgs"}
ROS_PACKAGES.add("builtin_interfaces")


def setup_keywords(folder):
    """Literal keywords of the call of setup() in a setup.py, with NAME put in."""
    tree = ast.parse((folder / "setup.py").read_text())
    call = next(
        node for node in ast.walk(tree) if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "setup"
    )
    named = {"NAME": ast.Constant(folder.name)}

    class PutIn(ast.NodeTransformer):
        def visit_Name(self, node):
            return named.get(node.id, node)

        def visit_BinOp(self, node):
            self.generic_visit(node)
            return ast.Constant(node.left.value + node.right.value)

    values = {keyword.arg: PutIn().visit(keyword.value) for keyword in call.keywords}
    return {name: ast.literal_eval(value) for name, value in values.items() if not isinstance(value, ast.Call)}


def imported(folder):
    """Top-level names that the package's modules import."""
    names = set()
    for path in (folder / folder.name).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module.split(".")[0])
    return names - {folder.name}


def test_every_package_of_the_workspace_has_its_files():
    folders = {path for path in (ROOT / "ros2_ws" / "src").iterdir() if path.is_dir() and any(path.iterdir())}
    assert set(PACKAGES) == folders


@pytest.mark.parametrize("folder", PACKAGES, ids=lambda folder: folder.name)
def test_colcon_would_take_it_for_an_ament_python_package(folder):
    package = ElementTree.parse(folder / "package.xml").getroot()
    assert package.attrib["format"] == "3" and package.findtext("name") == folder.name
    assert package.findtext("export/build_type") == "ament_python"
    email = package.find("maintainer").attrib["email"]
    assert re.fullmatch(r"[-a-zA-Z0-9_%+]+(\.[-a-zA-Z0-9_%+]+)*@[-a-zA-Z0-9%]+(\.[-a-zA-Z0-9%]+)*\.[a-zA-Z]{2,}", email)
    assert package.findtext("license") and package.findtext("description")
    assert re.fullmatch(r"\d+\.\d+\.\d+", package.findtext("version"))
    assert (folder / "resource" / folder.name).is_file()
    keywords = setup_keywords(folder)
    assert keywords["name"] == folder.name and keywords["version"] == package.findtext("version")
    assert dict(keywords["data_files"]) == {
        "share/ament_index/resource_index/packages": [f"resource/{folder.name}"],
        f"share/{folder.name}": ["package.xml"],
    }
    assert (folder / "setup.cfg").read_text().count(f"=$base/lib/{folder.name}\n") == 2


@pytest.mark.parametrize("folder", PACKAGES, ids=lambda folder: folder.name)
def test_package_xml_names_the_packages_that_are_imported(folder):
    package = ElementTree.parse(folder / "package.xml").getroot()
    declared = {element.text for element in package.findall("exec_depend")} - {"python3-numpy"}
    ours = {path.name for path in PACKAGES}
    assert declared == imported(folder) & (ours | ROS_PACKAGES)


@pytest.mark.parametrize("folder", PACKAGES, ids=lambda folder: folder.name)
def test_programs_and_data_are_the_same_as_for_pip(folder):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    mine = {f"{n} = {t}" for n, t in project["project"]["scripts"].items() if t.split(".")[0] == folder.name}
    keywords = setup_keywords(folder)
    assert set(keywords.get("entry_points", {}).get("console_scripts", [])) == mine
    for program in mine:
        module, function = program.split(" = ")[1].split(":")
        path = folder / Path(*module.split(".")).with_suffix(".py")
        names = {node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)}
        assert function in names, f"{program}: no such function"
    patterns = keywords["package_data"][folder.name]
    data = {path for path in (folder / folder.name).rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")}
    assert data == {path for pattern in patterns for path in (folder / folder.name).glob(pattern)}


def test_every_program_of_the_distribution_has_its_function():
    for name, target in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"].items():
        module, function = target.split(":")
        base = (
            ROOT
            if module.split(".")[0] not in {p.name for p in PACKAGES}
            else ROOT / "ros2_ws/src" / module.split(".")[0]
        )
        path = base / Path(*module.split(".")).with_suffix(".py")
        assert f"def {function}(" in path.read_text(), f"{name} = {target}: no such function"
