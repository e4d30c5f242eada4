"""What imitation and reinforcement of the `small` policy cost on a GPU: python -m benchmarks.rl_gpu.

Writes `benchmarks/results/rl_gpu.json` and a page of tables. Without a GPU it says so and ends with status 2.
"""

from __future__ import annotations

import dataclasses
import io
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console

from benchmarks.flops import FORMULA, forward_flops
from benchmarks.results import versions
from benchmarks.writing import machine
from sim_train.config import TrainConfig, from_plain
from sim_train.envs.settings import make_environment
from sim_train.policies.backbone_vla.policy import BackboneVla
from sim_train.rollouts.engine import make_engine
from sim_train.rollouts.environment import MakeEnvironment
from sim_train.rollouts.episodes import Job
from sim_train.rollouts.worker import PolicyTask
from sim_train.scale.team import team_of
from sim_train.stages.demonstrate import demonstrate
from sim_train.stages.imitate import Imitation
from sim_train.stages.learning import Learning
from sim_train.stages.run import Run

RESULTS = Path(__file__).parent / "results"
NO_GPU = 2
PEAK_TFLOPS = {"H200": 989, "H100": 989, "A100": 312, "L40S": 362, "L4": 121, "RTX 4090": 165, "A10": 125, "T4": 65}
"""Dense bfloat16 peaks of GPUs, 1e12 operations a second (float16 on a T4), from their makers' data sheets."""


@dataclass(frozen=True)
class Amount:
    """How much is measured."""

    warm_up: int = 5
    """Imitation steps, and then an update, before the clock runs."""
    sft_steps: int = 50
    updates: int = 3
    groups: int = 16
    """Of 8 episodes, for each update."""


def settings(output_dir: str, **scale: object) -> TrainConfig:
    """The policy and the scale of `preset=one_gpu`."""
    return from_plain(
        {
            "output_dir": output_dir,
            "policy": {"kind": "backbone_vla"},
            "contract": {"image_size": 112},
            "demonstrations": {"episodes": 20},
            "rollout": {"envs_per_worker": 32, "inference": "shared", "inference_device": "cuda"},
            "sft": {"batch": 128, "learning_rate": 3e-4},
            "rl": {"update": {"learning_rate": 3e-5, "epochs": 1, "minibatches": 4, "temperature": 1.6}},
            "scale": {"bf16": True, "micro_batch": 64, **scale},
        }
    )


def measure(config: TrainConfig, amount: Amount, peak: float | None, make: MakeEnvironment) -> dict[str, Any]:
    """Seconds, operations and memory of imitation and reinforcement with one configuration.

    Episodes count whatever their outcome: advantages are drawn, as what an update costs does not depend on them.

    Args:
        config: of a policy of backbones.
        amount: how much of it.
        peak: operations a second that the device is capable of; None: unknown, there is no MFU.
        make: number of worlds -> environment.
    """
    device = config.scale.torch_device()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    with team_of(config.scale, config.cores) as team, make_engine(config.rollout, make) as pool:
        run = Run(config, pool, team.gradients, Console(file=io.StringIO()))
        imitation = Imitation(team.gradients, config, demonstrate(run))
        for _ in range(amount.warm_up):
            imitation.advance()
        step_s = statistics.median(_timed(imitation.advance, device) for _ in range(amount.sft_steps))
        policy = imitation.plain()
        assert isinstance(policy, BackboneVla)
        flops = forward_flops(policy)
        weights = sum(parameter.numel() for parameter in policy.parameters())
        memory = {"sft": _peak_gib(device)}
        del imitation
        learning = Learning(team.gradients, config, policy)
        updates = [_update(config, amount, learning, pool, i, device) for i in range(amount.updates + 1)][1:]
        memory["rl"] = _peak_gib(device)
    median = {name: statistics.median(update[name] for update in updates) for name in updates[0]}
    passes = 1 + 3 * config.rl.update.epochs  # one to look back
    whole_s = median["rollout_s"] + median["update_s"]
    return {
        "compile": config.scale.compile,
        "weights": weights,
        "forward_gflop": flops / 1e9,
        "sft": {
            "step_s": step_s,
            "observations_per_s": config.sft.batch / step_s,
            "mfu": _mfu(3 * flops * config.sft.batch, step_s, peak),
        },
        "rl": {
            **median,
            "environment_steps_per_s": median["steps"] / whole_s,
            "episodes_per_s": 8 * amount.groups / whole_s,
            "update_mfu": _mfu(passes * flops * median["chunks"], median["update_s"], peak),
        },
        "peak_memory_gib": memory,
    }


def _update(
    config: TrainConfig,
    amount: Amount,
    learning: Learning,
    pool: Any,  # noqa: ANN401 - a rollout engine
    number: int,
    device: torch.device,
) -> dict[str, float]:
    """Seconds of one update by phase; those of workers are shares of the rollout's wall time."""
    pool.set_policy(learning.plain(), number)
    jobs = [Job(i, 200_000 + number * amount.groups + i, 8) for i in range(amount.groups)]
    played, report = pool.play(jobs, PolicyTask(config.rl.update.temperature), number)
    rng = np.random.default_rng(number)
    advantages = rng.normal(size=len(played)).astype(np.float32)
    spent, busy = report.spent, max(report.spent.busy_s + report.idle_s, 1e-9)
    return {
        "rollout_s": report.seconds,
        "environment_s": report.seconds * spent.environment_s / busy,
        "render_s": report.seconds * spent.render_s / busy,
        "inference_s": report.seconds * spent.inference_s / busy,
        "update_s": _timed(partial(learning.update, played, advantages, number, rng), device),
        "steps": float(played.executed_steps.sum()),
        "chunks": float(len(played.executed_steps)),
    }


def _timed(do: Callable[[], object], device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize()
    started = time.perf_counter()
    do()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def _peak_gib(device: torch.device) -> float | None:
    return torch.cuda.max_memory_allocated() / 2**30 if device.type == "cuda" else None


def _mfu(operations: float, seconds: float, peak: float | None) -> float | None:
    return operations / (seconds * peak) if peak else None


def peak_of(name: str) -> float | None:
    """Dense bfloat16 peak of a GPU by its name, operations a second; None if it is not known."""
    return next((1e12 * peak for known, peak in PEAK_TFLOPS.items() if known in name.replace("-", " ")), None)


def table(results: dict[str, Any]) -> str:
    """The page."""
    lines = [
        "# The `small` policy on a GPU",
        "",
        f"Measured on {results['date']} on {results['gpu']} with {results['machine']['cores']} cores by "
        "`make bench-rl-gpu`.",
        "",
        "| compile | SFT step, s | observations/s | MFU | rollout, s | environment, s | pictures, s | inference, s | "
        "update, s | MFU | env steps/s | peak GiB, SFT | RL |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for run in results["runs"]:
        sft, rl, memory = run["sft"], run["rl"], run["peak_memory_gib"]
        cells = [
            "on" if run["compile"] else "off",
            *(_number(sft[name]) for name in ("step_s", "observations_per_s", "mfu")),
            *(_number(rl[f"{name}_s"]) for name in ("rollout", "environment", "render", "inference", "update")),
            *(_number(rl[name]) for name in ("update_mfu", "environment_steps_per_s")),
            *(_number(memory[stage]) for stage in ("sft", "rl")),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", f"{results['runs'][0]['weights']:,} weights. {FORMULA}.", ""])


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def write(results: dict[str, Any], directory: Path) -> None:
    """Write `rl_gpu.json` and `rl_gpu.md`."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "rl_gpu.json").write_text(json.dumps(results, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    (directory / "rl_gpu.md").write_text(table(results), encoding="utf-8")


def main() -> int:
    """Entry point."""
    if not torch.cuda.is_available():
        print("benchmarks.rl_gpu: torch finds no GPU here, so there is nothing to measure", file=sys.stderr)
        return NO_GPU
    gpu = torch.cuda.get_device_name()
    runs = []
    for compiled in (False, True):
        with tempfile.TemporaryDirectory() as directory:
            config = settings(directory, device="cuda", compile=compiled)
            runs.append(measure(config, Amount(), peak_of(gpu), partial(make_environment, config.worlds)))
    results = {
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d"),
        "machine": machine(),
        "versions": versions(),
        "gpu": gpu,
        "amount": dataclasses.asdict(Amount()),
        "formula": FORMULA,
        "runs": runs,
    }
    write(results, RESULTS)
    print(table(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
