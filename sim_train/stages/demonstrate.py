"""Stage 0: the scripted expert shows how it is done."""

from __future__ import annotations

from sim_train.datasets.demonstrations import DemonstrationSet
from sim_train.datasets.index import origin_of
from sim_train.datasets.record import record
from sim_train.envs.specs import task_spec
from sim_train.reports.progress import Stage
from sim_train.rollouts.trajectories import Trajectories
from sim_train.stages.run import InterruptedRunError, Run
from sim_train.worlds.randomization import Randomization


def demonstrate(run: Run) -> Trajectories:
    """Successful episodes of the expert, recorded or, as far as they were recorded before, read.

    Raises:
        DemonstrationError: the expert fails too often.
        DatasetError: existing ones do not fit the configuration.
        InterruptedRunError: stopped by the user; whole shards are kept.
    """
    config = run.config
    wanted = config.demonstrations.episodes
    how = {
        "task": config.task,
        "engine": "mujoco",
        "randomization": repr(Randomization()),
        "noise": config.demonstrations.noise,
        "seed": config.seed,
    }
    origin = origin_of(task_spec(config.task), how)
    with DemonstrationSet.recording(run.root / "demonstrations", origin) as dataset:
        if len(dataset) < wanted:
            with Stage("demonstrations", wanted, run.console) as stage:

                def advance(done: int) -> None:
                    if run.stop.requested:
                        raise InterruptedRunError(f"{len(dataset)} of {wanted} demonstrations are recorded")
                    stage.advance(done)

                record(dataset, run.pool, wanted, advance)
                stage.say(f"{len(dataset)} successful episodes of {dataset.tried}")
        return dataset.load(wanted)
