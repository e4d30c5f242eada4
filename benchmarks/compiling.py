"""Whether torch.compile pays for training on a CPU: python -m benchmarks.compiling.

Prints the seconds of a gradient of the smallest policy with and without, measured in turns, and those of compiling.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

from sim_train.algorithms.parallel import GradientThreads
from sim_train.envs.specs import task_spec
from sim_train.policies.choice import PolicyChoice, make_policy
from sim_train.policies.imitation import SftLossConfig, SftReport
from sim_train.policies.text import build_vocabulary
from sim_train.scale.config import ScaleConfig
from sim_train.scale.trainee import Trainee

ROWS = 64
"""Observations of a gradient, as of an imitation step."""


def step_of(compiled: bool, threads: GradientThreads) -> Callable[[], object]:
    """One gradient of the imitation loss on drawn observations."""
    torch.manual_seed(0)
    spec = task_spec("pick_cube")
    words = build_vocabulary(["pick up the red cube"])
    trainee = Trainee(make_policy(PolicyChoice(), spec, words), ScaleConfig(device="cpu", compile=compiled))
    rng = np.random.default_rng(0)
    images = {c.name: rng.integers(0, 255, (ROWS, c.input_size, c.input_size, 3), np.uint8) for c in spec.cameras}
    state = rng.normal(size=(ROWS, len(spec.state))).astype(np.float32)
    inputs = trainee.policy.inputs(images, state, ["pick up the red cube"] * ROWS)
    chunk = (spec.horizon, len(spec.action))
    actions, weights = torch.zeros(ROWS, *chunk), torch.full((ROWS, *chunk), 1 / (ROWS * chunk[0] * chunk[1]))

    def loss(rows: torch.Tensor) -> tuple[torch.Tensor, SftReport]:
        place, draws = torch.zeros(len(rows), 3), torch.empty(len(rows), 0)
        return trainee.policy.imitation_loss(inputs[rows], actions[rows], weights[rows], place, SftLossConfig(), draws)

    return lambda: threads.gradient(loss, trainee.parameters, ROWS)


def timed(do: Callable[[], object]) -> float:
    """Seconds of a call."""
    started = time.perf_counter()
    do()
    return time.perf_counter() - started


def main() -> None:
    """Entry point."""
    with GradientThreads(1) as threads:
        plain, compiled = step_of(False, threads), step_of(True, threads)
        plain()
        first_s = timed(compiled)
        pairs = [(timed(plain), timed(compiled)) for _ in range(30)]
    plain_s, compiled_s = (statistics.median(times) for times in zip(*pairs, strict=True))
    ratio = statistics.median(without / by for without, by in pairs)
    print(f"without {plain_s * 1e3:.1f} ms, compiled {compiled_s * 1e3:.1f} ms ({ratio:.2f} times the speed)")
    print(f"compiling took {first_s:.0f} s, which {first_s / max(plain_s - compiled_s, 1e-9):.0f} gradients pay back")


if __name__ == "__main__":
    main()
