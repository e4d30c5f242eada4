"""Success on what is trained on and on what is not, at several points of learning.

As in SimpleVLA-RL (arXiv 2509.09674, its figure on unseen tasks): imitation of more demonstrations against
reinforcement, both judged on seen and on held-out conditions. Seen: the greedy validation, training's tasks and
wordings from starts that nothing trains on. Held out: evaluation seeds, whose wordings are other ones, or whatever
the recipe's `held_out` says.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.rl.cells import Cell
from benchmarks.rl.training import evaluation, rl_run, sft_run
from benchmarks.rl.workshop import Workshop
from sim_train.checkpoint import read_manifest

_SEEDS_APART = 1000
"""Between the points of a chain, so that none plays the training episodes of another (runs have seeds far below)."""


def imitation_cell(shop: Workshop, cell: Cell) -> dict[str, Any]:
    """Longer and longer imitation, each from nothing."""
    wanted = cell.settings
    points = []
    for steps in wanted["steps"]:
        settings = {**wanted["settings"], **wanted["imitation"], "sft.steps": steps}
        root = sft_run(shop, wanted["seed"], settings)
        points.append(_point(shop, cell, root, "sft", {"at": steps}))
    return {"points": points}


def reinforcement_cell(shop: Workshop, cell: Cell) -> dict[str, Any]:
    """Imitation, and then reinforcement in turns of equal time, each from the best weights of the one before."""
    wanted = cell.settings
    root = sft_run(shop, wanted["seed"], wanted["settings"])
    points = [_point(shop, cell, root, "sft", {"at": 0.0})]
    start = root / "sft"
    seconds = 0.0
    for turn in range(wanted["points"]):
        root = shop.place(cell) / f"turn{turn}"
        seed = wanted["seed"] + _SEEDS_APART * turn
        seconds += rl_run(shop, root, start, seed, wanted["settings"], wanted["budget_min"])["rl_s"]
        points.append(_point(shop, cell, root, "rl", {"at": seconds}))
        start = root / "rl"
    return {"points": points}


def _point(shop: Workshop, cell: Cell, root: Path, stage: str, at: dict[str, float]) -> dict[str, Any]:
    wanted = cell.settings
    seen = read_manifest(root / stage)["record"]["validation"]["greedy"]
    unseen = evaluation(shop, root, stage, wanted, **wanted["held_out"])
    return {**at, "seen": seen["success"], "held_out": unseen["success"], "held_out_ci95": unseen["success_ci95"]}
