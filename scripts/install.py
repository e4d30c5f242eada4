"""Set the project up from nothing: system packages, `.venv`, pinned Python packages. Quick when all is there.

Run through `scripts/setup.sh` (or `make setup`). Standard library only, because nothing else is there yet.
Exit status 0 when the environment is ready, 1 with a reason when it is not.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path

import system_packages
from setup_plan import EXTRAS, PYTHON_VERSIONS, ROOT, VENV
from system_packages import say

STAMP = VENV / ".armature-setup"
LOG = VENV / "setup.log"
PIP_NOISE = ("is ignored: it is neither a file nor a directory", "Requirement already satisfied")


class SetupError(Exception):
    """Set-up cannot go on; the text says why and what to do."""


def python_version(python: str) -> tuple[int, int] | None:
    """(major, minor) of an interpreter that can make virtual environments, or None."""
    code = "import ensurepip, venv, sys; print(*sys.version_info[:2])"
    try:
        answer = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False, timeout=30)
    except OSError:
        return None
    return tuple(map(int, answer.stdout.split())) if answer.returncode == 0 else None  # type: ignore[return-value]


def candidates() -> list[str]:
    """Interpreters to try: $PYTHON, python3 on the path, then the supported versions by name, then pyenv's."""
    names = [os.environ.get("PYTHON", ""), "python3", *(f"python{a}.{b}" for a, b in reversed(PYTHON_VERSIONS))]
    found = [path for name in names if name and (path := shutil.which(name))]
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for major, minor in PYTHON_VERSIONS:
        found += sorted(str(path) for path in pyenv.glob(f"{major}.{minor}.*/bin/python{major}.{minor}"))
    return found


def choose_python() -> str:
    """The first suitable interpreter; installs the distribution's own with apt if there is none and apt may be used."""
    for attempt in ("as found", "after apt"):
        seen = []
        for python in candidates():
            version = python_version(python)
            if version in PYTHON_VERSIONS:
                return python
            seen.append(f"{python} ({'.'.join(map(str, version)) if version else 'cannot make environments'})")
        root = system_packages.privilege()
        if attempt == "after apt" or root is None or not shutil.which("apt-get"):
            break
        say("no Python 3.10-3.12 with venv yet; asking apt for python3 and python3-venv")
        system_packages.apt(root, "update")
        system_packages.apt(root, "install", "-y", "--no-install-recommends", "python3", "python3-venv")
    raise SetupError(
        "no Python 3.10, 3.11 or 3.12 that can make virtual environments. Seen: "
        f"{'; '.join(seen) or 'none'}. Install one (Debian, Ubuntu: sudo apt-get install python3 python3-venv; "
        "anywhere: pyenv install 3.11) or name one with PYTHON=/path/to/python make setup"
    )


def fingerprint() -> str:
    """Hash of everything that decides what is in the environment."""
    digest = hashlib.sha256(str(ROOT).encode())
    for path in (ROOT / "pyproject.toml", *sorted((ROOT / "constraints").glob("*.txt"))):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


def ready() -> bool:
    """Whether the environment was set up from exactly these files and its interpreter still runs."""
    if not STAMP.is_file() or STAMP.read_text(encoding="utf-8") != fingerprint():
        return False
    return subprocess.run([VENV / "bin" / "python", "-c", ""], check=False).returncode == 0


def pip_install(what: str, *arguments: str) -> None:
    """Run `pip install` in the environment, with a line of progress now and then and the whole output in LOG."""
    command = [str(VENV / "bin" / "python"), "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
    command += [*arguments, "--progress-bar", "off"]
    say(f"{what}; details in {LOG.relative_to(ROOT)}")
    started = shown = time.monotonic()
    tail: list[str] = []
    with LOG.open("a", encoding="utf-8") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert process.stdout is not None
        for line in process.stdout:
            log.write(line)
            if any(noise in line for noise in PIP_NOISE):
                continue
            tail = [*tail[-24:], line.rstrip()]
            if time.monotonic() - shown > 5.0 or line.startswith("Installing collected"):
                shown = time.monotonic()
                say(f"  {shown - started:4.0f} s  {line.strip()[:90]}")
    if process.wait() != 0:
        print("\n".join(tail), flush=True)
        raise SetupError(f"pip could not install ({what}); the lines above say why")


def make_environment() -> None:
    """Create `.venv` if it is not there or not usable, and install the pinned packages and the project into it."""
    python = VENV / "bin" / "python"
    version = python_version(str(python)) if python.is_file() else None
    if version not in PYTHON_VERSIONS:
        base = choose_python()
        version = python_version(base)
        say(f"making .venv with {base} (Python {'.'.join(map(str, version or ()))})")
        subprocess.run([base, "-m", "venv", "--clear", str(VENV)], check=True)
    STAMP.unlink(missing_ok=True)
    tag = "py" + "".join(map(str, version or ()))
    if platform.machine() == "x86_64":
        hashed = f"constraints/ros-{tag}.txt"
        pip_install("installing ROS 2 Jazzy, checked by hash", "--no-deps", "--require-hashes", "-r", hashed)
    else:
        say("ROS 2 wheels exist for x86_64 only: install ROS 2 Jazzy with apt to run the nodes on this machine")
    if not Path("/dev/nvidia0").exists() and not os.environ.keys() & {"PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS"}:
        say("no GPU here: PIP_EXTRA_INDEX_URL=<PyTorch's index of CPU wheels> saves about 3 GB of CUDA libraries")
    editable = f"{ROOT}[{','.join(EXTRAS)}]"
    pip_install("installing the project and its pinned packages", "-c", f"constraints/{tag}.txt", "-e", editable)
    no_deps = ("--no-deps", "--require-hashes", "-r", "constraints/no-deps.txt")
    pip_install("installing what must come without its dependencies, checked by hash", *no_deps)


def check_rendering() -> None:
    """Show whether both simulators can render here; MuJoCo must."""
    command = [VENV / "bin" / "python", ROOT / "scripts" / "check_rendering.py"]
    if subprocess.run(command, check=False).returncode != 0:
        raise SetupError("MuJoCo cannot render on this machine; the lines above say why")


def main() -> int:
    """Bring the environment up to date; print nothing when it already is."""
    try:
        if ready():
            if shutil.which("dpkg-query") and system_packages.missing_packages():
                system_packages.ensure_system_packages()
            return 0
        started = time.monotonic()
        system_packages.ensure_system_packages()
        make_environment()
        check_rendering()
        STAMP.write_text(fingerprint(), encoding="utf-8")
        say(f"ready in {time.monotonic() - started:.0f} s")
    except SetupError as error:
        say(f"FAILED: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
