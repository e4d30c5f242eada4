"""Few demonstrations, imitation, reinforcement, held-out evaluation: through the commands that users have.

Imitation has a run of its own, shared by all cells that start from it; reinforcement gets a copy of it.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.rl.cells import Cell, fingerprint
from benchmarks.rl.usage import BusyWatch
from benchmarks.rl.workshop import Workshop
from sim_train.checkpoint import read_manifest
from sim_train.config import from_plain
from sim_train.envs.settings import WorldSettings

FILMED = 6
"""Held-out seeds that are filmed, for the report page."""
_KEPT = ("success", "successes", "episodes", "success_ci95", "mean_chunks_of_success", "faults", "seconds")


def training_cell(shop: Workshop, cell: Cell) -> dict[str, Any]:
    """Success before and after reinforcement, and the curve between."""
    wanted = cell.settings
    root = shop.place(cell)
    started = sft_run(shop, wanted["seed"], wanted["settings"])
    figures = rl_run(shop, root, started / "sft", wanted["seed"], wanted["settings"], wanted["budget_min"])
    sft = read_manifest(started / "sft")["record"]
    films = FILMED if len(wanted["evaluated"]) > 1 else 0
    evaluations = {stage: evaluation(shop, root, stage, wanted, films) for stage in wanted["evaluated"]}
    return {
        **evaluations,
        **figures,
        "demonstrations": sft["demonstrations"],
        "sft_s": sft["seconds"],
        "wall_s": sft["seconds"] + figures["rl_s"],
    }


def imitation_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the settings that matter to imitation."""
    return {
        name: value
        for name, value in settings.items()
        if not name.startswith("rl.") or name == "rl.validation_episodes"
    }


def sft_run(shop: Workshop, seed: int, settings: Mapping[str, Any]) -> Path:
    """Directory of the finished run of imitation with these settings (those of `rl` do not matter); made if needed."""
    wanted = {"seed": seed, **imitation_settings(settings)}
    root = shop.scratch / "sft" / fingerprint(wanted)
    if not (root / "sft" / "manifest.json").is_file():
        shop.command("sim_train.train", {**wanted, "output_dir": str(root), "stages": ["sft"]}, root / "log.txt")
    return root


def worlds_of(checkpoint: Path) -> WorldSettings:
    """The worlds that a checkpoint was trained in."""
    return from_plain(read_manifest(checkpoint)["record"]["config"]).worlds


def rl_run(
    shop: Workshop, root: Path, start: Path, seed: int, settings: Mapping[str, Any], budget_min: float
) -> dict[str, Any]:
    """Reinforcement in directory `root` from the checkpoint `start`, or from where it was interrupted.

    Returns its curve, its cost and its health; see `figures`.
    """
    if not (root / "sft").is_dir():
        fresh = root / "sft.tmp"
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.copytree(start, fresh)
        fresh.rename(root / "sft")
    if not (root / "demonstrations").exists() and (start.parent / "demonstrations").is_dir():
        (root / "demonstrations").symlink_to((start.parent / "demonstrations").resolve())
    watch = BusyWatch(root / "metrics" / "rl.jsonl", len(os.sched_getaffinity(0)))
    if not (root / "rl" / "manifest.json").is_file():
        told = {**settings, "seed": seed, "budget_min": budget_min, "output_dir": str(root), "stages": ["rl"]}
        shop.command("sim_train.train", told, root / "log.txt", watch.look)
    before = read_manifest(root / "sft")["record"]["validation"]["greedy"]["success"]
    return {**figures(read_manifest(root / "rl")["record"], before), "cores_busy": watch.share()}


def figures(record: Mapping[str, Any], before: float) -> dict[str, Any]:
    """What the record of a checkpoint of `rl` says.

    Args:
        record: of the checkpoint.
        before: greedy validation success of the checkpoint that it started from.
    """
    curve = [{"train_s": 0.0, "seconds": 0.0, "episodes": 0, "greedy": before}]
    validation_s = 0.0
    gaps = []
    for line in record["curve"]:
        if line.get("rollout_gap") is not None:
            gaps.append(line["rollout_gap"])
        if line.get("greedy_success") is not None:
            curve.append(
                {
                    "train_s": round(line["seconds"] - validation_s, 2),
                    "seconds": round(line["seconds"], 2),
                    "episodes": line["episodes"],
                    "greedy": line["greedy_success"],
                }
            )
        validation_s += line.get("validation_s") or 0.0  # came after the line's seconds
    return {
        "curve": curve,
        "rl_s": record["seconds"],
        "updates": record["updates"],
        "rl_episodes": record["episodes"],
        "stopped_because": record["stopped_because"],
        "logprob_gap": max(gaps, default=None),
    }


def evaluation(
    shop: Workshop,
    root: Path,
    stage: str,
    wanted: Mapping[str, Any],
    films: int = 0,
    **more: Any,  # noqa: ANN401 - settings
) -> dict[str, Any]:
    """Greedy success of a checkpoint in directory `root` on held-out seeds.

    Args:
        shop: the workshop.
        root: of the run.
        stage: name of the checkpoint there.
        wanted: `episodes` and `first_seed`, of the evaluation range.
        films: seeds that are filmed, the first ones.
        more: further settings of `sim_train.evaluate`.
    """
    told = {"episodes": wanted["episodes"], "first_seed": wanted["first_seed"], **more}
    output = root / "evaluation" / f"{stage}-{fingerprint(told)[:8]}.json"
    revision = read_manifest(root / stage)["weights_sha256"]
    if not output.is_file() or json.loads(output.read_text(encoding="utf-8"))["revision"] != revision:
        if films:
            seeds = list(range(wanted["first_seed"], wanted["first_seed"] + films))
            told |= {"video_seeds": seeds, "video_dir": str(root / "videos" / stage)}
        told |= {"checkpoint": str(root / stage), "output": str(output)}
        shop.command("sim_train.evaluate", told, root / "log.txt")
    found = json.loads(output.read_text(encoding="utf-8"))
    return {name: found[name] for name in _KEPT}
