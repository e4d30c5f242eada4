"""Stage 2: reinforcement learning from binary outcomes."""

from __future__ import annotations

import dataclasses

from sim_train.checkpoint import save_policy
from sim_train.reports.progress import Stage
from sim_train.resume import StateSaver, clear_state, load_state
from sim_train.rigs import load_rig
from sim_train.stages.learner import RL_SEEDS_FROM, Reinforcement
from sim_train.stages.learner_state import learner_state, restore_learner
from sim_train.stages.run import InterruptedRunError, Run
from sim_train.stages.seeds import validation_seeds
from sim_train.stages.validate import episodes_each


def reinforce(run: Run) -> None:
    """Run the stage from the SFT checkpoint, or from where it was interrupted, and write the best policy found.

    Raises:
        InterruptedRunError: stopped by the user; the state is saved.
        StartRateError: the SFT policy succeeds too seldom.
        DivergedError: gradients are not finite any more.
        ConfigError, DatasetError: see `updater_of`.
    """
    config = run.config.rl
    learner = Reinforcement(run, run.checkpoint("sft"))
    metrics = run.metrics("rl")
    state = load_state(run.state("rl"))
    if state and (state.values["fingerprint"], state.values["start"]) == (
        run.fingerprint("rl"),
        learner.learning.mine.revision,
    ):
        restore_learner(learner, state)
    metrics.keep(learner.version)
    budget_s = run.config.budget_min * 60
    saver = StateSaver(run.state("rl"))
    reason = ""
    with Stage("rl", run.config.budget_min, run.console) as stage:
        while not reason:
            if run.stop.requested:
                saver.save(learner_state(learner))
                raise InterruptedRunError(f"RL stopped after {learner.version} updates")
            record = learner.advance()
            note = f"update {learner.version}, {learner.episodes} episodes, sampled {record['success'] or 0:.1%}"
            over = learner.seconds >= budget_s or learner.version >= config.max_updates
            if over or learner.version % config.validate_every == 0:
                before_s = learner.seconds
                result = learner.check()
                plain = result.to_plain()
                record |= {"greedy_success": result.rate, "greedy_ci95": plain["success_ci95"]}
                record |= {"greedy_episodes": plain["episodes"], "validation_s": learner.seconds - before_s}
                record |= {"greedy_tasks": plain["tasks"]} if "tasks" in plain else {}
                stage.say(f"{learner.seconds / 60:.1f} min, {note}, greedy {result}")
                if min(result.rate, learner.validated) >= config.stop_at:
                    reason = f"greedy validation success was {config.stop_at:.0%} or more twice in a row"
                elif learner.stale >= config.patience > 0:
                    reason = f"{learner.stale} greedy validations in a row were no better than the best before"
                learner.validated = result.rate
            metrics.write(record)
            stage.advance(learner.seconds / 60, note, record)
            if over and not reason:
                reason = "the budget is used up" if learner.seconds >= budget_s else "max_updates is reached"
            if not reason:
                saver.maybe(lambda: learner_state(learner))
        learner.learning.call("take", learner.best_arrays, "best.")
        policy = learner.policy
        policy.train(False)
        final = learner.best_result
        save_policy(
            run.checkpoint("rl"),
            policy,
            {
                "stage": "rl",
                "config": dataclasses.asdict(run.config),
                "rig": load_rig(run.config.rig).to_plain(),
                "stopped_because": reason,
                "seconds": learner.seconds,
                "updates": learner.version,
                "episodes": learner.episodes,
                "best_update": learner.best[1],
                "seeds": {
                    "training_handed_out": learner.seeds.used - RL_SEEDS_FROM,
                    "validation": validation_seeds(episodes_each(config.validation_episodes, len(learner.tasks))),
                },
                "validation": {"greedy": final.to_plain()},
                "curve": metrics.read(),
            },
        )
        clear_state(run.state("rl"))
        stage.say(f"{reason}; best greedy validation {final} after update {learner.best[1]}")
