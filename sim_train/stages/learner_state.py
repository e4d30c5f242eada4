"""Reinforcement's half-done state: all that the learner needs to go on as if nothing had happened."""

from __future__ import annotations

import dataclasses

from sim_train.resume import StageState
from sim_train.rollouts.trajectories import Trajectories
from sim_train.stages.learner import Reinforcement
from sim_train.stages.validate import SuccessRate
from sim_train.typed import build


def learner_state(learner: Reinforcement) -> StageState:
    """Everything to go on from here. Episodes that are being played ahead are played again by who goes on."""
    seeds_used, lessons = learner.promised or (learner.seeds.used, learner.lessons.state())
    values = {
        "fingerprint": learner.run.fingerprint("rl"),
        "start": learner.learning.mine.revision,
        "version": learner.version,
        "episodes": learner.episodes,
        "seconds": learner.seconds,
        "acceptance": learner.acceptance,
        "seeds_used": seeds_used,
        "rng": learner.rng.bit_generator.state,
        "best": list(learner.best),
        "best_result": dataclasses.asdict(learner.best_result),
        "validated": learner.validated,
        "stale": learner.stale,
        "lessons": lessons,
        **learner.learning.mine.counters,
    }
    arrays = {**learner.learning.call("arrays"), **learner.best_arrays}
    if learner.carried is not None:
        arrays |= {"carried." + name: array for name, array in learner.carried.arrays().items()}
    return StageState(values, arrays)


def restore_learner(learner: Reinforcement, state: StageState) -> None:
    """Let a new learner go on from a saved state."""
    values, arrays = state.values, state.arrays
    learner.learning.call("restore", arrays, {name: values[name] for name in learner.learning.mine.counters})
    learner.version, learner.episodes = values["version"], values["episodes"]
    learner.seconds, learner.acceptance = values["seconds"], values["acceptance"]
    learner.seeds.used = values["seeds_used"]
    learner.rng.bit_generator.state = values["rng"]
    learner.best = (values["best"][0], values["best"][1])
    learner.best_result = build(SuccessRate, values["best_result"])
    learner.validated, learner.stale = values["validated"], values["stale"]
    learner.lessons.restore(values["lessons"])
    learner.best_arrays = {name: array for name, array in arrays.items() if name.startswith("best.")}
    carried = {n.removeprefix("carried."): a for n, a in arrays.items() if n.startswith("carried.")}
    learner.carried = Trajectories.from_arrays(carried) if carried else None
