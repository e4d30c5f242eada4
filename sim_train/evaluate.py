"""Evaluate a checkpoint: `python -m sim_train.evaluate checkpoint=DIR episodes=200 output=FILE.json`.

Greedy success on held-out evaluation seeds, with instructions in held-out words, with a 95 % interval and the result of
every seed; of every task, where the policy does several. `task=push_cube` (or `task=push_cube+click_bell`) asks for
others than the policy was trained on, if their contract fits; the result says whether it has seen them. With
`video_seeds=[1000003,...] video_dir=DIR` these seeds are also filmed, one MP4 each (and task). Worlds are centred on
the rig of training, unless `rig=NAME` says another. Who plays is said as in `rollout.engine=ray`, see docs/rollouts.md.
"""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import hydra
import numpy as np
from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf
from policy_api.intervals import wilson_interval
from policy_api.schema import first_difference
from rich.console import Console

from sim_train.checkpoint import CheckpointError, load_policy, read_manifest
from sim_train.command_line import opened, players, rollout_of
from sim_train.envs.contract import ContractConfig
from sim_train.envs.settings import WorldSettings, make_environment
from sim_train.policies.kinds import StoredPolicy
from sim_train.reports.progress import Stage
from sim_train.reports.video import write_video
from sim_train.rigs import NOMINAL, Rig, load_rig
from sim_train.rollouts.calls import WorkerFailureError
from sim_train.rollouts.config import RolloutConfig
from sim_train.rollouts.engine import make_engine
from sim_train.rollouts.episodes import Job
from sim_train.rollouts.trajectories import Trajectories
from sim_train.rollouts.worker import PolicyTask
from sim_train.typed import ConfigError
from sim_train.worlds.seeds import EVALUATION, check_seeds, split_of
from sim_train.worlds.tasks import task_names

VIDEO_SIZE = (320, 240)
VIDEO_HZ = 20


def evaluate(
    policy: StoredPolicy,
    worlds: WorldSettings,
    seeds: Sequence[int],
    rollout: RolloutConfig,
    console: Console,
) -> dict[str, Any]:
    """Greedy success of the policy on evaluation seeds, each played for each of the worlds' tasks, as it goes into the
    report. Of several tasks "tasks" has the figures by name, and those of all together stand above them.

    Raises:
        ValueError: no seed, or one outside the evaluation range.
        WorkerFailureError: the simulator fails, or there is no such engine.
    """
    if not seeds:
        raise ValueError("no seeds to evaluate on; ask for at least one episode")
    check_seeds(seeds, EVALUATION, "evaluation")
    make = functools.partial(make_environment, worlds)
    names, known = worlds.tasks, task_names(policy.spec.task)
    jobs = [Job(n * len(seeds) + i, seed, 1, n) for n in range(len(names)) for i, seed in enumerate(seeds)]
    with make_engine(rollout, make) as pool, Stage("evaluation", len(jobs), console) as stage:
        pool.set_policy(policy, 0)
        played, report = pool.play(jobs, PolicyTask(temperature=0.0), seed=0, on_progress=stage.advance)
    result = {
        "task": worlds.task,
        "engine": worlds.engine,
        "randomization": worlds.randomization,
        "knobs": dict(worlds.knobs),
        "split": split_of(seeds[0]),
        "revision": policy.revision,
        "seen": set(names) <= set(known),
        **_figures(played),
        "faults": report.faults,
        "seconds": report.seconds,
    }
    if len(names) == 1:
        return result | _seeds(played)
    parts = {name: played.select(np.flatnonzero(played.task == n)) for n, name in enumerate(names)}
    each = {name: {"seen": name in known, **_figures(part), **_seeds(part)} for name, part in parts.items()}
    return result | {"tasks": each}


def _figures(played: Trajectories) -> dict[str, Any]:
    successes, episodes = int(played.success.sum()), len(played)
    return {
        "episodes": episodes,
        "successes": successes,
        "success": successes / episodes,
        "success_ci95": list(wilson_interval(successes, episodes)),
        "mean_chunks_of_success": float(played.length[played.success].mean()) if successes else None,
    }


def _seeds(played: Trajectories) -> dict[str, dict[str, bool]]:
    return {"seeds": {str(s): bool(ok) for s, ok in zip(played.seed.tolist(), played.success, strict=True)}}


def worlds_for(
    policy: StoredPolicy,
    task: str,
    engine: str,
    randomization: str,
    knobs: Mapping[str, float],
    rig: Mapping[str, Any] | None = None,
) -> WorldSettings:
    """Worlds to evaluate the policy in, of a task (or several) that it was trained on or not.

    Raises:
        ValueError: the task is unknown, or its contract is not the policy's.
    """
    contract = ContractConfig.of(policy.spec)
    known = replace(contract.spec(task), task=policy.spec.task, model=policy.spec.model)
    if difference := first_difference(known, policy.spec):
        raise ValueError(
            f"the policy, trained on {policy.spec.task!r}, cannot do {task!r}: the contracts differ ({difference}, the "
            "policy's last); train it anew, or choose another task"
        )
    return WorldSettings(task, engine, randomization, knobs, rig=rig or {}, contract=contract)


def film(policy: StoredPolicy, worlds: WorldSettings, seed: int, path: Path) -> bool:
    """Play one greedy episode of the worlds' only task and write it as an MP4 of the policy's own camera; returns
    whether it succeeded."""
    check_seeds([seed], EVALUATION, "evaluation")
    env = worlds.make(1, video_size=VIDEO_SIZE)
    try:
        seen = env.reset([seed])
        frames = [env.render_video_frame(0)] * (VIDEO_HZ // 4)
        for _ in range(env.max_chunks):
            result = env.step(policy.act(seen.images, seen.state, seen.instructions).actions)
            frames += env.render_last_chunk(0, 1 / VIDEO_HZ)
            seen = result.observations
            if result.done[0]:
                break
        path.parent.mkdir(parents=True, exist_ok=True)
        write_video(path, [*frames, *[frames[-1]] * (VIDEO_HZ // 2)], VIDEO_HZ)
        return bool(result.success[0])
    finally:
        env.close()


ConfigStore.instance().store(name="players", node={"rollout": players()})


@hydra.main(version_base="1.3", config_path="conf", config_name="evaluate")
def main(cfg: DictConfig) -> None:
    """Entry point."""
    console = Console(soft_wrap=True)
    try:
        policy = load_policy(Path(cfg.checkpoint))
        task = cfg.task or policy.spec.task
        knobs = _trained_with(Path(cfg.checkpoint)) if cfg.knobs is None else dict(cfg.knobs)
        rig = load_rig(cfg.rig) if cfg.rig else _rig_of(Path(cfg.checkpoint))
        worlds = worlds_for(policy, task, cfg.engine, cfg.randomization, knobs, rig.values)
        worlds = worlds.only(task) if cfg.knobs is None else worlds
        rollout = rollout_of(_plain(cfg.rollout), int(cfg.workers), int(cfg.envs_per_worker))
        seeds = range(int(cfg.first_seed), int(cfg.first_seed) + int(cfg.episodes))
        result = {**evaluate(policy, worlds, seeds, rollout, console), "rig": rig.to_plain()}
        if cfg.video_seeds and not cfg.video_dir:
            raise ValueError("video_seeds need video_dir, the directory that the videos go to")
        result["videos"] = {
            name: {"path": str(path), "success": film(policy, worlds.only(one), int(seed), path)}
            for seed in cfg.video_seeds
            for one in worlds.tasks
            for name in [str(seed) if len(worlds.tasks) == 1 else f"{one}-{seed}"]
            for path in [Path(cfg.video_dir) / f"{name}.mp4"]
        }
    except (CheckpointError, ValueError, WorkerFailureError) as error:
        print(f"sim_train.evaluate: {error}", file=sys.stderr)
        raise SystemExit(1) from error
    output = Path(cfg.output)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    for name, part in result.get("tasks", {}).items():
        console.print(f"{name}: {_told(part)}", highlight=False)
    console.print(f"{_told(result)}; written to {output}", highlight=False)


def _rig_of(checkpoint: Path) -> Rig:
    """The rig that the policy was trained on; ConfigError if it is not here, or was measured anew since."""
    recorded = read_manifest(checkpoint)["record"].get("rig", {"name": NOMINAL})
    rig = load_rig(recorded["name"])
    if recorded.get("sha256", rig.sha256) != rig.sha256:
        raise ConfigError(
            f"rig {rig.name} was measured anew since the policy was trained; rig={rig.name} takes it as it is now"
        )
    return rig


def _plain(rollout: DictConfig) -> dict[str, Any]:
    plain = OmegaConf.to_container(rollout, resolve=True)
    return {str(name): value for name, value in plain.items()} if isinstance(plain, dict) else {}


def _trained_with(checkpoint: Path) -> dict[str, float]:
    """The knobs that the policy was trained with: after a curriculum, those at its end."""
    config = read_manifest(checkpoint)["record"].get("config", {})
    ends = {name: end for name, (_, end) in config.get("curriculum", {}).get("knobs", {}).items()}
    return {**config.get("knobs", {}), **ends}


def _told(result: Mapping[str, Any]) -> str:
    low, high = result["success_ci95"]
    unseen = "" if result["seen"] else ", not trained on"
    return f"{result['success']:.1%} ({low:.0%}..{high:.0%}) of {result['episodes']} episodes{unseen}"


if __name__ == "__main__":
    sys.argv[1:] = opened(sys.argv[1:])
    main()
