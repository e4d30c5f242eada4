"""Evaluate a checkpoint: `python -m sim_train.evaluate checkpoint=DIR episodes=200 output=FILE.json`.

Greedy success on held-out evaluation seeds with a 95 % interval and the result of every seed. With
`video_seeds=[1000003,...] video_dir=DIR` these seeds are also filmed, one MP4 each.
"""

from __future__ import annotations

import functools
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import hydra
from omegaconf import DictConfig
from policy_api.intervals import wilson_interval
from rich.console import Console

from sim_train.checkpoint import CheckpointError, load_policy, read_manifest
from sim_train.envs import task_spec
from sim_train.envs.settings import WorldSettings, make_environment
from sim_train.policies.kinds import StoredPolicy
from sim_train.reports.progress import Stage
from sim_train.reports.video import write_video
from sim_train.rollouts.episodes import Job
from sim_train.rollouts.pool import WorkerFailureError, WorkerPool
from sim_train.rollouts.worker import PolicyTask
from sim_train.worlds.seeds import EVALUATION, check_seeds, split_of

VIDEO_SIZE = (320, 240)
VIDEO_HZ = 20


def evaluate(
    policy: StoredPolicy,
    worlds: WorldSettings,
    seeds: Sequence[int],
    workers: int,
    envs_per_worker: int,
    console: Console,
) -> dict[str, Any]:
    """Greedy success of the policy on evaluation seeds, as it goes into the report.

    Raises:
        ValueError: no seed, or one outside the evaluation range.
        WorkerFailureError: the simulator fails.
    """
    if not seeds:
        raise ValueError("no seeds to evaluate on; ask for at least one episode")
    check_seeds(seeds, EVALUATION, "evaluation")
    make = functools.partial(make_environment, worlds)
    with WorkerPool(make, workers, envs_per_worker) as pool, Stage("evaluation", len(seeds), console) as stage:
        pool.set_policy(policy, 0)
        jobs = [Job(i, seed, 1) for i, seed in enumerate(seeds)]
        played, report = pool.play(jobs, PolicyTask(temperature=0.0), seed=0, on_progress=stage.advance)
    successes = int(played.success.sum())
    return {
        "task": worlds.task,
        "engine": worlds.engine,
        "randomization": worlds.randomization,
        "knobs": dict(worlds.knobs),
        "split": split_of(seeds[0]),
        "revision": policy.revision,
        "episodes": len(seeds),
        "successes": successes,
        "success": successes / len(seeds),
        "success_ci95": list(wilson_interval(successes, len(seeds))),
        "mean_chunks_of_success": float(played.length[played.success].mean()) if successes else None,
        "faults": report.faults,
        "seconds": report.seconds,
        "seeds": {str(s): bool(ok) for s, ok in zip(played.seed.tolist(), played.success, strict=True)},
    }


def film(policy: StoredPolicy, worlds: WorldSettings, seed: int, path: Path) -> bool:
    """Play one greedy episode and write it as an MP4 of the policy's own camera; returns whether it succeeded."""
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


@hydra.main(version_base="1.3", config_path="conf", config_name="evaluate")
def main(cfg: DictConfig) -> None:
    """Entry point."""
    console = Console(soft_wrap=True)
    try:
        policy = load_policy(Path(cfg.checkpoint))
        known = task_spec(policy.spec.task)
        if known.spec_hash != policy.spec.spec_hash:
            raise ValueError(f"{cfg.checkpoint} was trained for another contract of task {known.task!r}; train it anew")
        record = read_manifest(Path(cfg.checkpoint))["record"]
        knobs = record.get("config", {}).get("knobs", {}) if cfg.knobs is None else cfg.knobs
        worlds = WorldSettings(policy.spec.task, cfg.engine, cfg.randomization, dict(knobs))
        cores = int(cfg.workers) or len(os.sched_getaffinity(0))
        seeds = range(int(cfg.first_seed), int(cfg.first_seed) + int(cfg.episodes))
        result = evaluate(policy, worlds, seeds, cores, int(cfg.envs_per_worker), console)
        if cfg.video_seeds and not cfg.video_dir:
            raise ValueError("video_seeds need video_dir, the directory that the videos go to")
        result["videos"] = {
            str(seed): {"path": str(path), "success": film(policy, worlds, int(seed), path)}
            for seed in cfg.video_seeds
            for path in [Path(cfg.video_dir) / f"{seed}.mp4"]
        }
    except (CheckpointError, ValueError, WorkerFailureError) as error:
        print(f"sim_train.evaluate: {error}", file=sys.stderr)
        raise SystemExit(1) from error
    output = Path(cfg.output)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    low, high = result["success_ci95"]
    console.print(
        f"{result['success']:.1%} ({low:.0%}..{high:.0%}) of {result['episodes']} episodes; written to {output}",
        highlight=False,
    )


if __name__ == "__main__":
    main()
