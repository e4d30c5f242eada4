"""The results of the worlds' benchmark: a JSON file that keeps what is there, and a page of tables."""

import importlib.metadata
import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Final

from benchmarks.rollouts import WORLDS as PLAYED
from benchmarks.stepping import WORLDS as STEPPED
from benchmarks.writing import machine, table, write

KEYS: Final = (
    "step_ratio_mujoco",
    "render_ratio_mujoco",
    "two_worker_scaling",
    "expert_success",
    "parity_mm",
    "parity_deg",
    "camera_parity_px",
)
"""What the issue of the worlds asks for, beside machine, date and versions."""
_PACKAGES = ("armature", "mujoco", "sapien", "numpy", "torch")


@dataclass(frozen=True)
class Target:
    """What a figure must reach."""

    key: str
    what: str
    limit: float
    at_least: bool

    def reached(self, value: float) -> bool:
        """Whether it does."""
        return value >= self.limit if self.at_least else value <= self.limit

    def __str__(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.limit:g}"


TARGETS: Final = (
    Target("step_ratio_mujoco", "stepping, against bare MuJoCo physics (median of the tasks)", 0.85, True),
    Target("render_ratio_mujoco", "pictures, against a bare MuJoCo renderer (median of the sizes)", 0.9, True),
    Target("two_worker_scaling", "two workers, against one (median of the rows below, MuJoCo)", 1.7, True),
    Target("expert_success_least", "scripted experts, least success of a task and engine", 0.95, True),
    Target("parity_mm", "paths of the two engines, largest distance, mm", 1.0, False),
    Target("parity_deg", "paths of the two engines, largest angle, degrees", 0.5, False),
    Target("camera_parity_px", "pictures of the two engines and the pinhole camera, largest distance, px", 0.5, False),
)


def versions() -> dict[str, str]:
    """Of Python and of what the figures depend on."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:  # noqa: PERF203 - five packages
            found[package] = "not installed"
    return found


class Results:
    """`worlds.json` in a directory, and `worlds.md` beside it. What was not measured yet is null."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._path = directory / "worlds.json"
        self.values: dict[str, Any] = {"machine": machine(), "date": None, "versions": versions()}
        self.values |= dict.fromkeys(KEYS)
        if self._path.exists():
            old = json.loads(self._path.read_text(encoding="utf-8"))
            if (old.get("machine"), old.get("versions")) == (self.values["machine"], self.values["versions"]):
                self.values |= old  # of the same machine and software: sections that are not run again stay

    def keep(self, values: Mapping[str, Any]) -> None:
        """Take these figures in, and write both files."""
        self.values |= values
        self.values["date"] = datetime.now(timezone.utc).isoformat(timespec="seconds")
        each = [value for by in (self.values["expert_success"] or {}).values() for value in by.values()]
        self.values["expert_success_least"] = min(each, default=None)
        self.directory.mkdir(parents=True, exist_ok=True)
        write(self._path, json.dumps(self.values, indent=2) + "\n")
        write(self.directory / "worlds.md", page(self.values))


def page(values: Mapping[str, Any]) -> str:
    """The figures as tables in Markdown."""
    software = ", ".join(f"{name} {version}" for name, version in values["versions"].items())
    top = (
        "# What worlds cost\n\n"
        f"`make bench-worlds`, {values['date']}, on {values['machine']['cores']} cores of {values['machine']['cpu']}; "
        f"{software}. Ours and the bare engine take turns in the same run; figures are medians.\n\n"
    )
    targets = table(("what", "figure", "target", "reached"), [_target_row(target, values) for target in TARGETS])
    parts = {"stepping": _stepping, "rendering": _rendering, "rollouts": _rollouts, "expert_success": _experts}
    return "\n".join([top + targets, *(part(values) for name, part in parts.items() if values.get(name))])


def _stepping(values: Mapping[str, Any]) -> str:
    rows = [
        (task, rounded(found["ratio"], 2), rounded(found["step_us"], 1), rounded(found["bare_us"], 1))
        for task, found in values["stepping"].items()
    ]
    return f"## Stepping\n\nA whole `BatchEnv.step` of {STEPPED} worlds without pictures, processor time.\n\n" + table(
        ("task", "ratio", "µs a tick and world", "bare MuJoCo, µs"), rows
    )


def _rendering(values: Mapping[str, Any]) -> str:
    rows = [
        (name, rounded(found["ratio"], 2), rounded(found["picture_ms"], 2), rounded(found["bare_ms"], 2))
        for name, found in values["rendering"].items()
    ]
    return "## Pictures\n\nOne picture by `Engine.picture`, processor time.\n\n" + table(
        ("task and size", "ratio", "ms a picture", "bare MuJoCo, ms"), rows
    )


def _rollouts(values: Mapping[str, Any]) -> str:
    rows = [
        (engine, seen, rounded(found["one_worker"], 1), rounded(found["two_workers"], 1), rounded(found["scaling"], 2))
        for engine, by in values["rollouts"].items()
        for seen, found in by.items()
    ]
    return (
        f"## Episodes a second\n\nThe expert of `pick_cube`, {PLAYED} worlds a worker, wall time. Pictures are\n"
        "rendered and encoded at 320x240, as the camera streams, and then scaled.\n\n"
        + table(("engine", "seen", "one worker", "two workers", "scaling"), rows)
    )


def _experts(values: Mapping[str, Any]) -> str:
    success = values["expert_success"]
    engines = sorted({engine for by in success.values() for engine in by})
    rows = [(task, *(rounded(by.get(engine), 2) for engine in engines)) for task, by in sorted(success.items())]
    return f"## Scripted experts\n\nShare of {values['expert_episodes']} episodes.\n\n" + table(
        ("task", *engines), rows
    )


def _target_row(target: Target, values: Mapping[str, Any]) -> tuple[str, ...]:
    value = values.get(target.key)
    if value is None:
        return target.what, "not measured", str(target), "-"
    return target.what, rounded(value, 3), str(target), "yes" if target.reached(value) else "**no**"


def rounded(value: float | None, digits: int) -> str:
    """A figure in a table; "-" for one that is missing."""
    return "-" if value is None else f"{value:.{digits}f}"
