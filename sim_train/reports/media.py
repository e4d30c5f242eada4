"""Videos of the same seeds before and after RL, ready for a page."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sim_train.reports.runs import FILMS, TrainingRun

EMBED_BYTES = 300_000
"""A larger video is linked."""
MAX_PAIRS = 6


@dataclass(frozen=True)
class Video:
    """One episode."""

    src: str
    """A data URI, or a path relative to the page."""
    outcome: str


@dataclass(frozen=True)
class Pair:
    """One seed before and after."""

    seed: str
    before: Video
    after: Video


def pairs(run: TrainingRun, page: Path) -> list[Pair]:
    """Seeds that were filmed for both checkpoints; those that RL turned into successes come first.

    Args:
        run: with evaluations.
        page: file that the videos are for.
    """
    filmed = {stage: _filmed(run, stage) for stage in ("sft", "rl")}
    seeds = sorted(
        filmed["sft"].keys() & filmed["rl"].keys(),
        key=lambda seed: (filmed["sft"][seed][1], not filmed["rl"][seed][1], seed),
    )
    return [Pair(s, *(_video(*filmed[stage][s], page) for stage in ("sft", "rl"))) for s in seeds[:MAX_PAIRS]]


def data_uri(content: bytes, kind: str) -> str:
    """The content in the form of an address; `kind` as in `image/svg+xml`."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _filmed(run: TrainingRun, stage: str) -> dict[str, tuple[Path, bool]]:
    """By seed (of several tasks "pick_cube-1000003"), the video and whether the episode succeeded, if there is one."""
    sources: list[tuple[Path, Mapping[str, Any]]] = [
        (evaluation.path.parent, evaluation.result.get("videos", {}))
        for evaluation in run.evaluations
        if evaluation.stage == stage
    ]
    sources.append((run.root / FILMS, run.films.get(stage, {})))
    found = {}
    for folder, videos in sources:
        for seed, video in videos.items():
            path = _find(Path(video["path"]), folder)
            if path is not None:
                found[seed] = (path, bool(video["success"]))
    return found


def _find(named: Path, folder: Path) -> Path | None:
    """The file by the longest end of its name that the evaluation's folder holds, else as named."""
    parts = named.parts[1:] if named.is_absolute() else named.parts
    ends = [folder.joinpath(*parts[i:]) for i in range(len(parts))]
    return next((path for path in [*ends, named] if path.is_file()), None)


def _video(path: Path, success: bool, page: Path) -> Video:
    small = path.stat().st_size <= EMBED_BYTES
    relative = os.path.relpath(path.resolve(), page.resolve().parent)
    src = data_uri(path.read_bytes(), "video/mp4") if small else Path(relative).as_posix()
    return Video(src, "success" if success else "failure")
