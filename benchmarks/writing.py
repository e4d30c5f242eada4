"""Files and tables, without what the other benchmarks import: a learning framework takes seconds to load."""

import importlib.metadata
import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def machine() -> dict[str, Any]:
    """Processor and number of cores that may be used."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return {"cpu": names[0] if names else platform.machine(), "cores": len(os.sched_getaffinity(0))}


def versions() -> dict[str, str]:
    """Of Python and of this project."""
    return {"python": platform.python_version(), "armature": importlib.metadata.version("armature")}


def write(path: Path, text: str) -> None:
    """Write a file; whoever reads sees the old one or the new one."""
    fresh = path.with_suffix(path.suffix + ".tmp")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(path)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines: list[Sequence[str]] = [head, ("---",) * len(head), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)
