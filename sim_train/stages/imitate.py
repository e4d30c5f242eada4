"""Stage 1: supervised fine-tuning on demonstrations."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

import torch

from sim_train.algorithms.grpo import executed_mask
from sim_train.algorithms.parallel import GradientThreads
from sim_train.checkpoint import save_policy
from sim_train.config import SftConfig, TrainConfig
from sim_train.policies.choice import make_policy
from sim_train.policies.imitation import SftReport, merge_sft_reports
from sim_train.policies.kinds import StoredPolicy
from sim_train.policies.text import build_vocabulary
from sim_train.reports.progress import Stage
from sim_train.resume import (
    StageState,
    StateSaver,
    clear_state,
    load_state,
    optimizer_arrays,
    restore_optimizer,
)
from sim_train.rigs import load_rig
from sim_train.rollouts.trajectories import Trajectories
from sim_train.scale.trainee import Trainee
from sim_train.stages.run import InterruptedRunError, Run
from sim_train.stages.seeds import validation_seeds
from sim_train.stages.validate import SuccessRate, episodes_each, validate

_LOG_EVERY = 20
_QUICK = 64  # validation episodes while success is too low to stop
_FINEST = 0.12  # of `check_every`: steps between validations when success is nearly enough


class Imitation:
    """Fits a policy to demonstrations, step by step. With shards every process has one, see `sim_train.scale.team`.

    Args:
        gradients: compute gradients.
        config: of the run.
        demonstrations: what to imitate.
    """

    def __init__(self, gradients: GradientThreads, config: TrainConfig, demonstrations: Trajectories) -> None:
        self.gradients = gradients
        self.config = config.sft
        torch.manual_seed(config.seed)
        spec = config.contract.spec(config.task)
        words = [*demonstrations.instructions, *config.worlds.wordings()]
        fresh = make_policy(config.policy, spec, build_vocabulary(words))
        fresh.normalise_state_by(demonstrations.state)
        self.trainee = Trainee(fresh, config.scale)
        self.policy = self.trainee.policy
        self.parameters = self.trainee.parameters
        self.optimizer = torch.optim.AdamW(
            self.parameters, lr=self.config.learning_rate, weight_decay=self.config.weight_decay
        )
        texts = [demonstrations.instructions[i] for i in demonstrations.trajectory]
        self.inputs = self.policy.inputs(demonstrations.images, demonstrations.state, texts)
        self.actions = torch.from_numpy(demonstrations.actions)
        steps = torch.from_numpy(demonstrations.executed_steps)
        self.mask = executed_mask(steps, spec.horizon, len(spec.action)).contiguous()
        self.place = torch.from_numpy(demonstrations.target_position)
        of_chunk = torch.from_numpy(demonstrations.task)[torch.from_numpy(demonstrations.trajectory)]
        self.rows_of_tasks = [torch.nonzero(of_chunk == task).flatten() for task in of_chunk.unique()]
        self.generator = torch.Generator().manual_seed(config.seed)
        self.step = 0
        self.next_check = self.config.check_every

    def advance(self) -> SftReport:
        """One optimiser step on a random mini-batch, in which every task has the same share."""
        rows = self._draw()
        weights = self.mask[rows] / self.mask[rows].sum()
        draws = torch.rand(len(rows), self.policy.imitation_draw_size, generator=self.generator)

        def loss(share: torch.Tensor) -> tuple[torch.Tensor, SftReport]:
            chosen = rows[share]
            return self.policy.imitation_loss(
                self.inputs[chosen],
                self.actions[chosen],
                weights[share],
                self.place[chosen],
                self.config.loss,
                draws[share],
            )

        parts = self.gradients.gradient(loss, self.parameters, len(rows))
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.learning_rate * one_cycle(self.step / self.config.steps)
        self.optimizer.step()
        self.step += 1
        return merge_sft_reports(parts)

    def _draw(self) -> torch.Tensor:
        tasks, batch = len(self.rows_of_tasks), self.config.batch
        counts = [(batch * (i + 1)) // tasks - (batch * i) // tasks for i in range(tasks)]
        drawn = [
            torch.randint(len(r), (n,), generator=self.generator)
            for r, n in zip(self.rows_of_tasks, counts, strict=True)
        ]
        return torch.cat([rows[places] for rows, places in zip(self.rows_of_tasks, drawn, strict=True)])

    def plain(self) -> StoredPolicy:
        """The policy with its present weights, to play with or to save; see `Trainee.plain`."""
        return self.trainee.plain()

    def state(self, fingerprint: dict[str, Any]) -> StageState:
        """Everything to go on from here; `fingerprint` is kept with it."""
        values = {
            "fingerprint": fingerprint,
            "step": self.step,
            "next_check": self.next_check,
            "generator": self.generator.get_state().tolist(),
        }
        return StageState(values, {**self.trainee.arrays(), **optimizer_arrays(self.optimizer)})

    def restore(self, state: StageState) -> None:
        """Go on from a saved state."""
        self.trainee.restore(state.arrays)
        restore_optimizer(self.optimizer, state.arrays)
        self.step, self.next_check = state.values["step"], state.values["next_check"]
        self.generator.set_state(torch.tensor(state.values["generator"], dtype=torch.uint8))


def one_cycle(done: float) -> float:
    """Learning-rate factor: a rise over the first tenth, then a straight fall to zero; `done` in 0..1."""
    return min(done / 0.1, (1 - done) / 0.9) if done > 0 else 0.01


def steps_to_check(rate: float, config: SftConfig) -> int:
    """Steps to the next validation: `check_every` of them without success, fewer the nearer it is to enough.

    Success may rise by tens of points within `check_every` steps, and what is learned beyond `enough` is learned better
    by reinforcement.
    """
    near = min(rate / config.enough, 1) if config.enough else 1
    return max(1, round(config.check_every * max((1 - near) ** 2, _FINEST)))


def _note(report: SftReport) -> str:
    place = "" if report.target_error_mm is None else f", target {report.target_error_mm:.0f} mm off"
    return f"loss {report.imitation_loss:.3f}{place}"


def imitate(run: Run, demonstrations: Trajectories) -> None:
    """Run the stage, from its start or from where it was interrupted, and write its checkpoint.

    Raises:
        InterruptedRunError: stopped by the user; the state is saved.
    """
    shared = run.share(Imitation, run.config, demonstrations)
    learner = shared.mine
    metrics = run.metrics("sft")
    state = load_state(run.state("sft"))
    if state and state.values["fingerprint"] == run.fingerprint("sft"):
        shared.call("restore", state)
    metrics.keep(learner.step // _LOG_EVERY)
    config = run.config.sft
    episodes, tasks = run.config.rl.validation_episodes, run.config.worlds.tasks
    started = time.monotonic()
    enough = False
    success: SuccessRate | None = None
    saver = StateSaver(run.state("sft"))
    with Stage("sft", config.steps, run.console) as stage:
        while learner.step < config.steps and not enough:
            if run.stop.requested:
                saver.save(shared.call("state", run.fingerprint("sft")))
                raise InterruptedRunError(f"SFT stopped at step {learner.step}")
            report = shared.call("advance")
            note = _note(report)
            stage.advance(learner.step, note)
            if learner.step % _LOG_EVERY == 0:
                metrics.write({"step": learner.step, **dataclasses.asdict(report)})
            if learner.step >= learner.next_check:
                success = validate(run.pool, shared.call("plain"), 0, min(_QUICK, episodes), tasks=tasks)
                if success.least >= config.enough and episodes > _QUICK:
                    success = validate(run.pool, shared.call("plain"), 0, episodes, tasks=tasks)
                stage.say(f"step {learner.step}, {note}, greedy {success}")
                enough = success.least >= config.enough
                learner.next_check = learner.step + steps_to_check(success.least, config)
            if not enough:
                saver.maybe(lambda: shared.call("state", run.fingerprint("sft")))
        seconds = time.monotonic() - started
        policy = shared.call("plain")
        policy.train(False)
        greedy = success if enough and success else validate(run.pool, policy, 0, episodes, tasks=tasks)
        sampled = validate(run.pool, policy, 0, episodes, run.config.rl.update.temperature, tasks)
        record = {
            "stage": "sft",
            "config": dataclasses.asdict(run.config),
            "rig": load_rig(run.config.rig).to_plain(),
            "demonstrations": len(demonstrations),
            "seeds": {
                "demonstrations": sorted(set(demonstrations.seed.tolist())),
                "validation": validation_seeds(episodes_each(episodes, len(tasks))),
            },
            "seconds": seconds,
            "steps": learner.step,
            "validation": {"greedy": greedy.to_plain(), "sampled": sampled.to_plain()},
            "curve": metrics.read(),
        }
        save_policy(run.checkpoint("sft"), policy, record)
        clear_state(run.state("sft"))
        stage.say(f"greedy success {greedy}, sampled {sampled} on validation seeds; {seconds:.0f} s")
