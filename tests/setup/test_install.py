import subprocess
import sys
from pathlib import Path

import install
import lock
import pytest
import setup_plan
import system_packages

ROOT = Path(__file__).resolve().parents[2]


def test_constraints_cover_every_python_and_name_no_machine():
    for major, minor in setup_plan.PYTHON_VERSIONS:
        for name in (f"py{major}{minor}.txt", f"ros-py{major}{minor}.txt"):
            text = (ROOT / "constraints" / name).read_text()
            lines = [line for line in text.splitlines() if not line.startswith("#")]
            assert len(lines) > 50
            assert not any(mark in line for mark in "+@/" for line in lines), name
        pins = (ROOT / "constraints" / f"py{major}{minor}.txt").read_text().splitlines()
        assert "torch==2.13.0" in pins and "ros-rclpy==7.1.6" in pins
        assert not any(pin.startswith(("nvidia", "cuda", "triton", "armature")) for pin in pins)


def test_ros_wheels_are_pinned_by_hash_in_the_versions_of_the_constraints():
    for major, minor in setup_plan.PYTHON_VERSIONS:
        pins = set((ROOT / "constraints" / f"py{major}{minor}.txt").read_text().split())
        for line in (ROOT / "constraints" / f"ros-py{major}{minor}.txt").read_text().splitlines()[1:]:
            pin, digest = line.split(" --hash=sha256:")
            assert pin in pins and len(digest) == 64


def test_pins_drop_local_labels_the_project_and_cuda():
    def entry(name, version):
        return {"metadata": {"name": name, "version": version}}

    installs = [
        entry("torch", "2.13.0+cpu"),
        entry("Armature", "0.1.0"),
        entry("nvidia-x", "1"),
        entry("Foo.Bar_b", "2"),
    ]
    assert lock.pins(installs) == ["foo-bar-b==2", "torch==2.13.0"]


@pytest.mark.parametrize(
    ("version", "major"), [("22.3.6-1+deb12u2", 22), ("25.0.7-2~bpo12+1", 25), ("1:24.1", 24), ("", 0)]
)
def test_mesa_major_version(version, major):
    assert system_packages.mesa_major(version) == major


def test_a_package_with_two_names_is_there_under_either(monkeypatch):
    have = {names[-1] for _, names in setup_plan.SYSTEM_PACKAGES}
    monkeypatch.setattr(system_packages, "installed_version", lambda name: "1" if name in have else None)
    assert system_packages.missing_packages() == []
    have.remove("libusb-1.0-0")
    assert system_packages.missing_packages() == [("libusb-1.0-0",)]
    assert system_packages.advice(system_packages.missing_packages()) == "sudo apt-get install libusb-1.0-0"


def test_without_root_it_says_what_to_install_and_goes_on(monkeypatch, capsys):
    monkeypatch.setattr(system_packages, "privilege", lambda: None)
    monkeypatch.setattr(system_packages, "installed_version", lambda name: None)
    monkeypatch.setattr(system_packages.shutil, "which", lambda name: "/usr/bin/" + name)
    system_packages.ensure_system_packages()
    said = capsys.readouterr().out
    assert "sudo apt-get install libegl1" in said and "mesa-vulkan-drivers" in said


def test_python_is_chosen_by_version_and_ability(monkeypatch, tmp_path):
    assert install.python_version(sys.executable) == sys.version_info[:2]
    assert install.python_version(str(tmp_path / "none")) is None
    versions = {"/a": (3, 13), "/b": None, "/c": (3, 10)}
    monkeypatch.setattr(install, "candidates", lambda: list(versions))
    monkeypatch.setattr(install, "python_version", versions.get)
    assert install.choose_python() == "/c"
    del versions["/c"]
    monkeypatch.setattr(install.system_packages, "privilege", lambda: None)
    with pytest.raises(install.SetupError, match=r"/a \(3\.13\); /b \(cannot make environments\)\. Install one"):
        install.choose_python()


def test_the_environment_is_stale_when_a_pin_changes(monkeypatch, tmp_path):
    (tmp_path / "constraints").mkdir()
    (tmp_path / "pyproject.toml").write_text("a")
    (tmp_path / "constraints" / "py311.txt").write_text("b")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(sys.executable)
    monkeypatch.setattr(install, "ROOT", tmp_path)
    monkeypatch.setattr(install, "VENV", tmp_path)
    monkeypatch.setattr(install, "STAMP", tmp_path / "stamp")
    assert not install.ready()
    (tmp_path / "stamp").write_text(install.fingerprint())
    assert install.ready()
    (tmp_path / "constraints" / "py311.txt").write_text("c")
    assert not install.ready()


def test_setup_and_ci_are_one_command_each():
    assert (ROOT / ".ci" / "run").read_text().splitlines()[-1].split() == ["exec", "make", "test", "</dev/null"]
    for script in (".ci/run", "scripts/setup.sh"):
        subprocess.run(["bash", "-n", ROOT / script], check=True)
        assert (ROOT / script).stat().st_mode & 0o111
    plan = subprocess.run(
        ["make", "--no-print-directory", "-n", "demo"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert plan.splitlines()[0] == "./scripts/setup.sh" and "-m demo" in plan
