"""Install the system libraries that the Python packages load: apt when it may be used, a clear list when not."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from apt_backports import INDEX_FORMAT, backports_source, debian_uris, source_files
from setup_plan import MESA_PACKAGES, OPTIONAL_SYSTEM_PACKAGES, SAPIEN_MIN_MESA, SYSTEM_PACKAGES

APT_ENV = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
BACKPORTS_FILE = Path("/etc/apt/sources.list.d/armature-backports.sources")


def say(text: str) -> None:
    """Print one line of progress at once."""
    print(f"[setup] {text}", flush=True)


def privilege() -> list[str] | None:
    """Prefix that runs a command as root: empty for root, `sudo -n` where sudo asks nothing, None where neither is."""
    if os.geteuid() == 0:
        return []
    if (
        shutil.which("sudo")
        and subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False).returncode == 0
    ):
        return ["sudo", "-n", "--preserve-env=DEBIAN_FRONTEND,LC_ALL"]
    return None


def installed_version(package: str) -> str | None:
    """Version of an installed Debian package, or None."""
    query = ["dpkg-query", "-W", "-f", "${db:Status-Status} ${Version}", package]
    answer = subprocess.run(query, capture_output=True, text=True, check=False).stdout.split()
    return answer[1] if len(answer) == 2 and answer[0] == "installed" else None


def mesa_major(version: str) -> int:
    """Major version of a Mesa package: `25.0.7-2~bpo12+1` -> 25."""
    match = re.match(r"(?:\d+:)?(\d+)\.", version)
    return int(match[1]) if match else 0


def missing_packages() -> list[tuple[str, ...]]:
    """Name alternatives of every required package of which none is installed."""
    return [names for _, names in SYSTEM_PACKAGES if not any(installed_version(name) for name in names)]


def has_candidate(package: str) -> bool:
    """Whether apt can install a package of this very name."""
    answer = subprocess.run(["apt-cache", "policy", package], capture_output=True, text=True, check=False, env=APT_ENV)
    return "Candidate:" in answer.stdout and "Candidate: (none)" not in answer.stdout


def apt(root: list[str], *arguments: str) -> bool:
    """Run apt-get as root; show its last lines and return False if it fails."""
    answer = subprocess.run(
        [*root, "apt-get", "-q", *arguments], capture_output=True, text=True, check=False, env=APT_ENV
    )
    if answer.returncode != 0:
        say(f"apt-get {' '.join(arguments)} failed:")
        print("\n".join((answer.stdout + answer.stderr).splitlines()[-8:]), flush=True)
    return answer.returncode == 0


def install(root: list[str], groups: list[tuple[str, ...]]) -> bool:
    """Install one package of every group of alternative names; groups that apt does not know are named and skipped."""
    chosen = []
    for names in groups:
        name = next((name for name in names if has_candidate(name)), None)
        if name is None:
            say(f"apt knows none of: {', '.join(names)}")
        else:
            chosen.append(name)
    return not chosen or apt(root, "install", "-y", "--no-install-recommends", *chosen)


def os_codename() -> str:
    """`bookworm` on Debian 12, the release's code name elsewhere, empty if unknown or not Debian itself."""
    fields = dict(
        line.split("=", 1) for line in Path("/etc/os-release").read_text(encoding="utf-8").splitlines() if "=" in line
    )
    return fields.get("VERSION_CODENAME", "").strip('"') if fields.get("ID", "").strip('"') == "debian" else ""


def upgrade_mesa(root: list[str]) -> bool:
    """Take Mesa from Debian 12's backports if it is too old for SAPIEN; True if it is new enough in the end."""
    version = installed_version("mesa-vulkan-drivers")
    if version is None:
        return False
    if mesa_major(version) >= SAPIEN_MIN_MESA:
        return True
    codename = os_codename()
    if codename != "bookworm":
        return False
    say(f"Mesa {version} is too old for SAPIEN on a CPU; taking a newer one from {codename}-backports")
    targets = ["apt-get", "indextargets", "--format", INDEX_FORMAT, "Created-By: Packages"]
    indexes = subprocess.run(targets, capture_output=True, text=True, check=False, env=APT_ENV).stdout
    if f"|{codename}-backports|" not in indexes:
        source = backports_source(source_files(Path("/etc/apt")), debian_uris(indexes, codename), codename)
        if source is None:
            say("no apt source of this machine serves Debian itself, so backports cannot be derived from one")
            return False
        write_as_root(root, BACKPORTS_FILE, source)
        if not apt(root, "update"):
            say("backports cannot be reached; removing the source again")
            subprocess.run([*root, "rm", "-f", str(BACKPORTS_FILE)], check=False)
            apt(root, "update")
            return False
    wanted = [p for p in (*MESA_PACKAGES, "libosmesa6") if installed_version(p)]
    if not apt(root, "install", "-y", "--no-install-recommends", "-t", f"{codename}-backports", *wanted):
        return False
    version = installed_version("mesa-vulkan-drivers") or "0."
    return mesa_major(version) >= SAPIEN_MIN_MESA


def write_as_root(root: list[str], path: Path, text: str) -> None:
    """Write a file that every user may read, through `install` so that sudo can do it."""
    with tempfile.NamedTemporaryFile("w", encoding="utf-8") as handle:
        handle.write(text)
        handle.flush()
        subprocess.run([*root, "install", "-m", "644", handle.name, str(path)], check=True)


def advice(groups: list[tuple[str, ...]]) -> str:
    """What to tell a user who must install packages by hand."""
    return "sudo apt-get install " + " ".join(names[0] for names in groups)


def ensure_system_packages() -> None:
    """Install what is missing; where that is impossible say what to install, and go on."""
    if not shutil.which("dpkg-query") or not shutil.which("apt-get"):
        wanted = ", ".join(f"{names[0]} ({why})" for why, names in SYSTEM_PACKAGES)
        say(f"not a Debian or Ubuntu: see to these libraries yourself: {wanted}")
        return
    missing = missing_packages()
    root = privilege()
    if root is None:
        if missing:
            say("system packages are missing and neither root nor password-less sudo is here. Please run:")
            say(f"    {advice(missing)}")
        return
    optional = [names for _, names in OPTIONAL_SYSTEM_PACKAGES if not any(installed_version(n) for n in names)]
    if missing:
        say(f"installing system packages: {' '.join(names[0] for names in missing)}")
        apt(root, "update")
        if not install(root, missing):
            say(f"please install them by hand: {advice(missing)}")
        install(root, [names for names in optional if any(has_candidate(n) for n in names)])
    if not upgrade_mesa(root):
        say("SAPIEN will not render on this machine's CPU (it needs Mesa 24 or newer); MuJoCo will")
