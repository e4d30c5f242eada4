"""stable-baselines3's PPO on the same worlds, cores and network, from the same imitation, against our own time.

Both are judged by greedy success on the same validation seeds. The clock counts sampling and learning, not the checks,
not the start of processes. Ours is what the cell of the same task and seed has measured on this machine.
"""

from __future__ import annotations

import functools
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.type_aliases import PyTorchObs
from stable_baselines3.common.utils import obs_as_tensor

from benchmarks.rl.cells import Cell
from benchmarks.rl.sb3_policy import TokenGaussianPolicy
from benchmarks.rl.sb3_worlds import Worlds
from benchmarks.rl.training import sft_run, worlds_of
from benchmarks.rl.workshop import Workshop
from benchmarks.writing import machine
from sim_train.checkpoint import load_policy
from sim_train.envs.settings import make_environment
from sim_train.policies.token_vla import TokenVla
from sim_train.rollouts.environment import MakeEnvironment
from sim_train.stages.seeds import validation_seeds

PPO_SETTINGS = ("n_steps", "batch_size", "n_epochs", "learning_rate", "gamma", "clip_range")
_FIRST_SEED = 100_000  # as for our own learner, training seeds before this are left to demonstrations
_STRIDE = 37_747
_NEVER = 10**9


class NotComparableError(ValueError):
    """Our own time cannot be compared; the text says why."""


def time_to(curve: Sequence[Mapping[str, Any]], success: float) -> float | None:
    """Training seconds of the first point with that greedy success; None if there is none."""
    return next((point["train_s"] for point in curve if point["greedy"] >= success), None)


class Race(BaseCallback):
    """Validates every so often, and ends training at a success or when the time is up.

    Args:
        worlds: for validation.
        seeds: to validate on.
        success: greedy success to reach.
        every_s: training time between validations.
        limit_s: training time, at most.
        say: told about every validation.
    """

    def __init__(
        self,
        worlds: Worlds,
        seeds: Sequence[int],
        success: float,
        every_s: float,
        limit_s: float,
        say: Callable[[str], None] = print,
    ) -> None:
        super().__init__()
        self._worlds, self._seeds = worlds, seeds
        self._success, self._every_s, self._limit_s = success, every_s, limit_s
        self._say = say
        self.curve: list[dict[str, float]] = []
        self._began = self._checking_s = self._checked_s = 0.0
        self._over = False

    def _on_training_start(self) -> None:
        self._began = time.monotonic()
        self._check()

    def _on_rollout_start(self) -> None:
        if self._train_s() - self._checked_s >= self._every_s or self._train_s() >= self._limit_s:
            self._check()

    def _on_step(self) -> bool:
        return not self._over

    def _train_s(self) -> float:
        return time.monotonic() - self._began - self._checking_s

    def _check(self) -> None:
        self._checked_s = train_s = self._train_s()
        began = time.monotonic()
        greedy = greedy_success(self.model.policy, self._worlds, self._seeds)  # type: ignore[arg-type]
        self._checking_s += time.monotonic() - began
        self.curve.append({"train_s": round(train_s, 2), "chunks": self.num_timesteps, "greedy": greedy})
        self._over = greedy >= self._success or train_s >= self._limit_s
        self._say(f"SB3 after {train_s:.0f} s of at most {self._limit_s:.0f}: greedy {greedy:.1%}")


def greedy_success(policy: TokenGaussianPolicy, worlds: Worlds, seeds: Sequence[int]) -> float:
    """Share of the episodes of `seeds` in which the policy's mean action succeeds."""
    succeeded = 0
    for first in range(0, len(seeds), worlds.num_envs):
        part = seeds[first : first + worlds.num_envs]
        seen = worlds.begin(part)
        done = np.zeros(worlds.num_envs, dtype=np.bool_)
        for _ in range(worlds.max_chunks):
            actions, _ = policy.predict(seen, deterministic=True)  # type: ignore[arg-type]
            seen, success = worlds.play(actions)
            done |= success
        succeeded += int(done[: len(part)].sum())
    return succeeded / len(seeds)


def race(
    make: MakeEnvironment,
    policy: TokenVla,
    settings: Mapping[str, Any],
    limit_s: float,
    episodes: int,
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Train our network with PPO until it is good enough or the time is up.

    Args:
        make: importable function: number of worlds -> environment.
        policy: where to start; its weights are changed.
        settings: of the cell: `PPO_SETTINGS`, `seed`, `success`, `check_every_s`, `sharpness`, `envs_per_worker`.
        limit_s: training time.
        episodes: of a validation.
        say: told how it goes.
    """
    cores = len(os.sched_getaffinity(0))
    threads = torch.get_num_threads()
    seed = settings["seed"]
    worlds = Worlds(make, policy.tokenizer, cores, settings["envs_per_worker"], _FIRST_SEED + seed * _STRIDE)
    checked = Worlds(make, policy.tokenizer, cores, -(-min(episodes, 256) // cores), 0)
    try:
        learner = PPO(
            TokenGaussianPolicy,
            worlds,
            policy_kwargs={"policy": policy, "sharpness": settings["sharpness"]},
            seed=seed,
            device="cpu",
            **{name: settings[name] for name in PPO_SETTINGS},
        )
        acting = learner.policy
        if not isinstance(acting, TokenGaussianPolicy):
            raise TypeError(f"unexpected policy {type(acting).__name__}")
        seen = obs_as_tensor(checked.begin(validation_seeds(min(episodes, checked.num_envs))), learner.device)  # type: ignore[arg-type]
        acting.explore_by(acting.network.spread(seen))
        used = fastest_threads(acting, seen, cores)
        torch.set_num_threads(used)
        callback = Race(
            checked, validation_seeds(episodes), settings["success"], settings["check_every_s"], limit_s, say
        )
        learner.learn(_NEVER, callback=callback)
    finally:
        torch.set_num_threads(threads)
        worlds.close()
        checked.close()
    return {
        "curve": callback.curve,
        "reached_s": time_to(callback.curve, settings["success"]),
        "limit_s": limit_s,
        "faults": worlds.faults,
        "threads": used,
    }


def fastest_threads(policy: TokenGaussianPolicy, seen: PyTorchObs, most: int) -> int:
    """1 or `most`, whichever torch differentiates faster with: threads may cost a small network more than they do."""
    took: dict[int, float] = {}
    before = torch.get_num_threads()
    for threads in (1, most):
        torch.set_num_threads(threads)
        for turn in range(3):  # the first warms up
            began = time.monotonic()
            values, log_probs, _ = policy.evaluate_actions(seen, policy.get_distribution(seen).mode().detach())
            (values.sum() + log_probs.sum()).backward()
            if turn:
                took[threads] = min(took.get(threads, math.inf), time.monotonic() - began)
    torch.set_num_threads(before)
    policy.zero_grad()
    return min(took, key=took.__getitem__)


def sb3_cell(shop: Workshop, cell: Cell) -> dict[str, Any]:
    """The race; NotComparableError where our own time is missing, or is another machine's."""
    wanted = cell.settings
    ours = shop.store.find(shop.cells[cell.needs])
    if ours is None:
        raise NotComparableError(f"{cell.needs} is to be measured first")
    if ours.machine != machine():
        raise NotComparableError(
            f"{cell.needs} was measured on another machine; remove {shop.store.directory / cell.needs}.json to measure "
            "it here, too"
        )
    ours_s = time_to(ours.result["curve"], wanted["success"])
    if not ours_s:
        raise NotComparableError(
            f"{cell.needs} did not go from below {wanted['success']:.0%} to it: there is no time to compare with"
        )
    start: Path = sft_run(shop, wanted["seed"], wanted["settings"]) / "sft"
    make = functools.partial(make_environment, worlds_of(start))
    found = race(make, load_policy(start), wanted, wanted["limit"] * ours_s, 200, shop.say)
    return {**found, "ours_s": ours_s}
