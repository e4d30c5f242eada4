"""What a page needs to see played once more: how things were done, and videos of the same seeds before and after RL.

Everything goes into the folder `replays` of a run and is played only if it is not there yet, or was played by other
weights.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sim_train.checkpoint import load_policy
from sim_train.config import TrainConfig, from_plain
from sim_train.envs.batch_env import BatchEnv, Observations
from sim_train.evaluate import film
from sim_train.reports.runs import DEMONSTRATIONS, FILMS, RL_TRAIN, STRATEGIES, RunError, TrainingRun
from sim_train.rollouts.players import ExpertPlayer, Player, PolicyPlayer
from sim_train.stages.learner import RL_SEEDS_FROM
from sim_train.stages.seeds import TrainingSeeds
from sim_train.worlds.seeds import EVALUATION

_WORLDS = 32
Strategies = dict[str, str | None]
"""By seed: the strategy of a success, None for a failure."""


def strategies_of(env: BatchEnv, player: Player, seeds: Sequence[int]) -> Strategies:
    """Play an episode of each seed; one in which the simulator fails is left out."""
    env.follow()
    found: Strategies = {}
    for first in range(0, len(seeds), env.num_envs):
        part = list(seeds[first : first + env.num_envs])
        rngs = [np.random.default_rng([0, seed]) for seed in part]
        alive = list(range(len(part)))
        seen = env.reset(part, alive)
        while alive:
            choice = player.choose(env, alive, seen, [rngs[i] for i in alive])
            result = env.step(choice.played, alive)
            for row, world in enumerate(alive):
                if result.done[row] and not result.fault[row]:
                    found[str(part[world])] = env.strategy(world) if result.success[row] else None
            left = np.flatnonzero(~(result.done | result.fault))
            seen, alive = _rows(result.observations, left), [alive[row] for row in left]
    return found


def replay_strategies(run: TrainingRun, episodes: int, say: Callable[[str], None]) -> None:
    """Play `episodes` held-out starts of each task with the demonstrations' expert, as disturbed as it was then, and
    with both checkpoints, greedily; and the first starts that RL learned from with RL's.

    Where the demonstrations came from elsewhere, nobody knows how they were done, and the expert does not play.

    Raises:
        RunError: a checkpoint is missing; fewer than one episode.
        CheckpointError: a checkpoint is damaged.
    """
    if episodes < 1:
        raise RunError(f"{episodes} episodes tell nothing about strategies; ask for at least one")
    config = _config(run)
    held_out = list(EVALUATION[:episodes])
    trained = TrainingSeeds(config.seed, RL_SEEDS_FROM).take(episodes)
    noise = config.demonstrations.noise
    players: dict[str, tuple[dict[str, Any], Sequence[int]]] = {
        "sft": ({"revision": run.revisions["sft"]}, held_out),
        "rl": ({"revision": run.revisions["rl"]}, held_out),
        RL_TRAIN: ({"revision": run.revisions["rl"]}, trained),
    }
    if not config.demonstrations.source:
        players[DEMONSTRATIONS] = ({"noise": noise}, held_out)
    for who, (made_of, seeds) in players.items():
        path = run.root / STRATEGIES / f"{who}.json"
        wanted = {**made_of, "episodes": episodes}
        if _made_of(path) == wanted:
            continue
        say(f"playing {episodes} episodes of each task: {who}")
        _write(path, {"made_of": wanted, "tasks": _play_tasks(run, config, who, seeds)})


def replay_videos(run: TrainingRun, count: int, say: Callable[[str], None]) -> None:
    """Film `count` held-out seeds of each task, played greedily by both checkpoints.

    Where strategies were played, seeds that RL turned into successes come first.

    Raises:
        RunError, CheckpointError: see `replay_strategies`.
    """
    if count < 1:
        raise RunError(f"there are no {count} videos; ask for at least one")
    config = _config(run)
    chosen = {task: _seeds_to_film(run, task, count) for task in config.worlds.tasks}
    for stage in ("sft", "rl"):
        path = run.root / FILMS / f"{stage}.json"
        wanted = {"revision": run.revisions[stage], "seeds": chosen}
        if _made_of(path) == wanted:
            continue
        say(f"filming {count} seeds of each task: {stage}")
        policy = load_policy(run.root / stage)
        videos = {}
        for task, seeds in chosen.items():
            for seed in seeds:
                name = str(seed) if len(chosen) == 1 else f"{task}-{seed}"
                file = path.parent / stage / f"{name}.mp4"
                success = film(policy, config.worlds.only(task), seed, file)
                videos[name] = {"path": f"{stage}/{name}.mp4", "success": success}
        _write(path, {"made_of": wanted, "videos": videos})


def _play_tasks(run: TrainingRun, config: TrainConfig, who: str, seeds: Sequence[int]) -> dict[str, Strategies]:
    policy = None if who == DEMONSTRATIONS else load_policy(run.root / ("sft" if who == "sft" else "rl"))
    found = {}
    for task in config.worlds.tasks:
        env = config.worlds.only(task).make(min(_WORLDS, len(seeds)))
        noise = [0.0 if f.name.endswith("gripper") else config.demonstrations.noise for f in env.spec.action]
        try:
            player = ExpertPlayer(env, np.array(noise)) if policy is None else PolicyPlayer(policy, 0.0)
            found[task] = strategies_of(env, player, seeds)
        finally:
            env.close()
    return found


def _seeds_to_film(run: TrainingRun, task: str, count: int) -> list[int]:
    before, after = (run.strategies.get(stage, {}).get(task, {}) for stage in ("sft", "rl"))
    known = [int(seed) for seed in before if seed in after]
    known.sort(key=lambda seed: (before[str(seed)] is not None, after[str(seed)] is None, seed))
    others = [seed for seed in EVALUATION[: count + len(known)] if seed not in known]
    return [*known, *others][:count]


def _config(run: TrainingRun) -> TrainConfig:
    missing = [stage for stage in ("sft", "rl") if stage not in run.revisions]
    if missing:
        raise RunError(f"{run.root / missing[0]} is missing; what both stages do can be shown when both are finished")
    return from_plain(run.records["rl"]["config"])


def _made_of(path: Path) -> object:
    return json.loads(path.read_text(encoding="utf-8"))["made_of"] if path.is_file() else None


def _write(path: Path, content: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".tmp")
    fresh.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    fresh.replace(path)


def _rows(seen: Observations, rows: np.ndarray) -> Observations:
    return Observations(
        {name: images[rows] for name, images in seen.images.items()},
        seen.state[rows],
        [seen.instructions[row] for row in rows],
        seen.target_position[rows],
    )
