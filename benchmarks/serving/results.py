"""The results of the serving benchmark: a JSON file that keeps what is there, and a page of tables."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Final

from benchmarks.results import Target, versions
from benchmarks.serving.environment import LEROBOT
from benchmarks.writing import machine, table, write

KEYS: Final = (
    "ratio_vs_bare",
    "ratio_vs_bare_mtls",
    "speedup_vs_lerobot",
    "batch8_ratio",
    "health_p99_ms",
    "fuzz",
)
"""The figures of the file, beside machine, date and versions."""

TARGETS: Final = (
    Target("ratio_vs_bare", "one robot, p50 against a bare gRPC call that decodes the same JPEG", 1.25, False),
    Target("ratio_vs_bare_mtls", "the same with mutual TLS, against the bare call without", 1.35, False),
    Target("speedup_vs_lerobot", f"p50 of LeRobot {LEROBOT}'s asynchronous inference against ours", 4.0, True),
    Target("batch8_ratio", "eight robots, p50 against a server that serves them one by one", 0.4, False),
    Target("health_p99_ms", "health probe meanwhile, robots asking without a pause, p99, ms", 5.0, False),
    Target(
        "health_p99_at_10_hz_ms",
        "health probe, each of the eight robots asking ten times a second, p99, ms",
        5.0,
        False,
    ),
)
_SECTIONS: Final = {
    "latency": "One robot",
    "lerobot": "Against LeRobot",
    "crowd": "Eight robots without a pause",
    "crowd_at_10_hz": "Eight robots, each ten times a second",
}
_PACKAGES: Final = ("grpcio", "protobuf", "simplejpeg")


class Results:
    """`serving.json` in a directory, and `serving.md` beside it. What was not measured yet is null."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._path = directory / "serving.json"
        also = {name: importlib.metadata.version(name) for name in _PACKAGES} | {"lerobot": LEROBOT}
        self.values: dict[str, Any] = {"machine": machine(), "date": None, "versions": versions() | also}
        self.values |= dict.fromkeys(KEYS)
        if self._path.exists():
            old = json.loads(self._path.read_text(encoding="utf-8"))
            if (old.get("machine"), old.get("versions")) == (self.values["machine"], self.values["versions"]):
                self.values |= old  # of the same machine and software: sections that are not run again stay

    def keep(self, values: Mapping[str, Any]) -> None:
        """Take these figures in, and write both files."""
        self.values |= values
        self.values["date"] = datetime.now(timezone.utc).isoformat(timespec="seconds")
        self.directory.mkdir(parents=True, exist_ok=True)
        write(self._path, json.dumps(self.values, indent=2) + "\n")
        write(self.directory / "serving.md", self.page())

    def page(self) -> str:
        """The figures as tables in Markdown."""
        values = self.values
        software = ", ".join(f"{name} {version}" for name, version in values["versions"].items())
        top = (
            "# What serving costs\n\n"
            f"`make bench-serving`, {values['date']}, on {values['machine']['cores']} cores of "
            f"{values['machine']['cpu']}; {software}. Two 640x480 cameras as JPEG and seven numbers in, 50x7 numbers "
            "out, a policy that costs nothing, loopback. Contestants are processes that take turns in shuffled order; "
            "a ratio is the median of the rounds' ratios.\n\n"
        )
        targets = table(("what", "figure", "target", "reached"), [_target_row(target, values) for target in TARGETS])
        parts = [_rows(title, values[name]) for name, title in _SECTIONS.items() if values.get(name)]
        return "\n".join([top + targets, *parts, *([_fuzz(values["fuzz"])] if values["fuzz"] else [])])


def _target_row(target: Target, values: Mapping[str, Any]) -> tuple[str, ...]:
    value = values.get(target.key)
    if value is None:
        return target.what, "not measured", str(target), "-"
    return target.what, f"{value:.2f}", str(target), "yes" if target.reached(value) else "**no**"


def _rows(title: str, found: Mapping[str, Mapping[str, float]]) -> str:
    rows = [(name, f"{each['p50_ms']:.2f}", f"{each['p99_ms']:.2f}") for name, each in found.items()]
    return f"## {title}\n\n" + table(("", "p50, ms", "p99, ms"), rows)


def _fuzz(found: Mapping[str, Any]) -> str:
    return (
        "## Messages that nobody should send\n\n"
        f"{found['messages']} messages, made up, damaged, raw bytes and pickles among them, to {len(found['calls'])} "
        f"calls: {found['crashes']} crashes, {found['hangs']} without an answer, {found['wrong_statuses']} with a "
        f"wrong status; the server's memory grew by {found['rss_growth']:.1%} after the first tenth.\n"
    )
