"""The house rules that a machine can check: see ARCHITECTURE.md."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # comes with mypy and pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("sim_train", "policy_server", "bringup", "demo", "calibration")
WORKSPACE = ROOT / "ros2_ws" / "src"
GENERATED = ("_pb2.py", "_pb2.pyi", "_pb2_grpc.py")
MAX_LINES = 500
NEVER_IMPORTED = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
NEVER_CALLED = {"eval", "exec", "torch.load", "torch.save", "pickle.load", "pickle.loads", "pickle.Unpickler"}
TEXT_SUFFIXES = {
    ".py",
    ".md",
    ".toml",
    ".txt",
    ".yaml",
    ".yml",
    ".xml",
    ".sh",
    ".cfg",
    ".Dockerfile",
    ".proto",
    ".html",
}
# Places on the machines of those who write here; nobody else has them.
MACHINE_PATHS = re.compile(r"(?<![\w.])/(?:ro[o]t|wo[r]k|ho[m]e/\w+|opt/(?:py[p]i|whe[e]ls))\b")
URL_FREE = ("Makefile", "pyproject.toml", ".ci", "scripts", "constraints", "docker", "launch")


def files(suffixes=None):
    """Every text file of the tree, without environments, caches and outputs."""
    for path in sorted(ROOT.rglob("*")):
        parts = path.relative_to(ROOT).parts
        hidden = any(part.startswith(".") and part not in (".ci", ".gitignore") for part in parts)
        if hidden or parts[0] in ("outputs", "build", "install", "log") or any(p.endswith(".egg-info") for p in parts):
            continue
        if any(part in ("build", "install", "log", "__pycache__") for part in parts) or not path.is_file():
            continue
        if suffixes is None or path.suffix in suffixes:
            yield path


def sources():
    """Hand-written Python files with their syntax trees."""
    for path in files({".py"}):
        if not path.name.endswith(GENERATED):
            yield path, ast.parse(path.read_text(encoding="utf-8"))


def place(path, node=None):
    return f"{path.relative_to(ROOT)}" + (f":{node.lineno}" if node is not None else "")


def dotted(node):
    """`torch.load` for the attribute node of torch.load; empty for anything else than names and dots."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return ""


def imported_names(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node, alias.name
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node, node.module


def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def packages():
    return {*ROOMS, *(path.parent.parent.name for path in WORKSPACE.glob("*/*/__init__.py"))}


def test_imports_keep_to_the_contracts():
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_every_package_is_packaged_typed_and_under_contract():
    settings = project()["tool"]
    found = settings["setuptools"]["packages"]["find"]
    for name in packages():
        assert name in settings["importlinter"]["root_packages"], f"{name} is under no import contract"
        assert f"{name}*" in found["include"], f"{name} would not be installed"
        if name not in ROOMS:
            assert f"ros2_ws/src/{name}" in found["where"]
            assert f"ros2_ws/src/{name}" in settings["mypy"]["mypy_path"].split(":")
        if name != "calibration":
            assert name in settings["mypy"]["packages"], f"mypy does not look at {name}"
    assert not (ROOT / "launch" / "__init__.py").exists(), "it would hide ROS 2's own package 'launch'"


ROBOT_SIDE = ("piper_description", "policy_api", "motion_control", "node_runtime", "piper_can", "piper_driver")
ROBOT_SIDE += ("cameras", "policy_bridge", "episode_recorder", "virtual_lab", "sim_train.worlds")


@pytest.mark.parametrize(
    ("names", "banned"), [(ROBOT_SIDE, ("torch", "transformers")), (("policy_server",), ("mujoco", "sapien", "rclpy"))]
)
def test_loading_every_module_loads_nothing_banned(names, banned):
    code = f"""
import importlib, pkgutil, sys
for name in {names!r}:
    package = importlib.import_module(name)
    for module in pkgutil.walk_packages(package.__path__, name + '.'):
        importlib.import_module(module.name)
found = [name for name in {banned!r} if name in sys.modules]
sys.exit(f'loaded: {{found}}' if found else 0)
"""
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr[-2000:]


def test_nothing_unpickles_or_evaluates():
    faults = []
    for path, tree in sources():
        is_test = path.is_relative_to(ROOT / "tests")  # tests send pickles to see them refused
        for node, name in imported_names(tree):
            if name.split(".")[0] in NEVER_IMPORTED and not is_test:
                faults.append(f"{place(path, node)} imports {name}")
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                if dotted(node.func) in NEVER_CALLED:
                    faults.append(f"{place(path, node)} calls {dotted(node.func)}")
                allows = [k for k in node.keywords if k.arg == "allow_pickle" and getattr(k.value, "value", True)]
                faults += [f"{place(path, node)} allows pickle" for _ in allows]
    assert not faults, "weights are safetensors, messages are protobuf:\n" + "\n".join(faults)


def test_no_file_is_long():
    long = [f"{place(p)}: {n}" for p, _ in sources() if (n := len(p.read_text("utf-8").splitlines())) > MAX_LINES]
    assert not long, f"more than {MAX_LINES} lines; one purpose a file:\n" + "\n".join(long)


def test_a_broad_except_says_why():
    faults = []
    for path, tree in sources():
        lines = path.read_text(encoding="utf-8").splitlines()
        for node in ast.walk(tree):
            if isinstance(node, ast.ExceptHandler):
                caught = [node.type] if not isinstance(node.type, ast.Tuple) else node.type.elts
                broad = any(c is None or dotted(c) in ("Exception", "BaseException") for c in caught)
                if broad and not re.search(r"# (noqa: BLE001 - )?(?!noqa)\w+ \S+ \S+", lines[node.lineno - 1]):
                    faults.append(place(path, node))
    assert not faults, "say why on the line, as '# noqa: BLE001 - reason' where ruff asks:\n" + "\n".join(faults)


def test_motion_control_reads_no_clock():
    faults = []
    for path, tree in sources():
        if "motion_control" not in path.relative_to(ROOT).parts[:4] or path.is_relative_to(ROOT / "tests"):
            continue
        for node, name in imported_names(tree):
            if name in ("time", "datetime"):
                faults.append(f"{place(path, node)} imports {name}")
    assert not faults, "time comes in as now_ns:\n" + "\n".join(faults)


BUS_OWNERS = {"piper_can", "piper_driver", "virtual_lab"}
"""Packages that may touch a CAN bus; the lab is the arm at its other end."""
MOVING_CALLS = re.compile(r"send_(joint|gripper|mit|pose|target)\w*$")


def robot_sources():
    """Hand-written files of the rooms and the packages, with the package's name."""
    for folder in (*(ROOT / room for room in ROOMS), *WORKSPACE.glob("*/*/")):
        for path in folder.rglob("*.py"):
            if not path.name.endswith(GENERATED):
                yield folder.name, path, ast.parse(path.read_text(encoding="utf-8"))


def test_no_import_leads_to_the_bus_but_the_drivers():
    faults = []
    for package, path, tree in robot_sources():
        for node, name in imported_names(tree):
            if name.split(".")[0] in ("can", "piper_can", "piper_driver") and package not in BUS_OWNERS:
                faults.append(f"{place(path, node)} imports {name}")
            if name == "can" and package == "piper_driver":
                faults.append(f"{place(path, node)} goes around piper_can")
    assert not faults, "the driver is the only writer of the bus:\n" + "\n".join(faults)


def test_what_moves_the_arm_is_sent_from_limited_setpoints_only():
    """Only a function that takes a `Setpoint` may send targets, and only `MotionOutput` can make one."""
    faults, senders = [], 0
    for package, path, tree in robot_sources():
        for function in ast.walk(tree):
            if not isinstance(function, ast.FunctionDef):
                continue
            calls = [n for n in ast.walk(function) if isinstance(n, ast.Call)]
            sends = [n for n in calls if MOVING_CALLS.match(dotted(n.func).split(".")[-1])]
            limited = any(a.annotation is not None and dotted(a.annotation) == "Setpoint" for a in function.args.args)
            faults += [f"{place(path, n)} sends a target that is no Setpoint" for n in sends if not limited]
            senders += len(sends)
        for node in ast.walk(tree):
            name = dotted(node)
            if package == "motion_control" and path.name == "output.py":
                continue
            if name.split(".")[-1] == "_MAKER" or (isinstance(node, ast.Call) and dotted(node.func) == "Setpoint"):
                faults.append(f"{place(path, node)} makes a Setpoint of its own")
    assert senders >= 2, "the driver's sending is not recognised any more"
    assert not faults, "\n".join(faults)


def test_no_machine_is_named():
    faults = []
    for path in files():
        if path.suffix not in TEXT_SUFFIXES and path.name not in ("Makefile", "run"):
            continue
        url_free = path.relative_to(ROOT).parts[0] in URL_FREE
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
            if MACHINE_PATHS.search(line):
                faults.append(f"{place(path)}:{number}: a path of one machine: {line.strip()[:100]}")
            if url_free and re.search(r"\w://\w", line) and "xmlns" not in line:
                faults.append(f"{place(path)}:{number}: a host: {line.strip()[:100]}")
    assert not faults, "\n".join(faults)
