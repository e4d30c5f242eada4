"""Which worlds to make, as configurations and checkpoints say it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from policy_api.schema import PolicySpec

from sim_train.envs.batch_env import BatchEnv
from sim_train.envs.contract import ContractConfig
from sim_train.envs.multi_task_env import MultiTaskEnv
from sim_train.worlds.randomization import Randomization, centred, drawer, load_randomization
from sim_train.worlds.seeds import TRAIN
from sim_train.worlds.task import Task
from sim_train.worlds.tasks import TASKS, knobs_of, make_task, task_names

_WORDED: Final = TRAIN[:256]
"""Seeds that between them use every word of a task."""


@dataclass(frozen=True)
class WorldSettings:
    """A task or several, how hard they are, on which engine, and how much their worlds differ."""

    task: str
    """Its name; several as in "pick_cube+push_cube"."""
    engine: str = "mujoco"
    randomization: str = "none"
    """A preset of `sim_train/conf/demos/randomization`, or a YAML file."""
    knobs: Mapping[str, float] = field(default_factory=dict)
    """Difficulty knobs: arguments of the tasks' constructors. Each goes to every task that has it."""
    curriculum: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Knobs that move with the level of an episode, from their value at level 0 to that at level 1."""
    rig: Mapping[str, Any] = field(default_factory=dict)
    """What was measured on the rig, see `sim_train.worlds.randomization.centred`: the randomization's centre."""
    contract: ContractConfig = field(default_factory=ContractConfig)
    """What the policy sees."""

    @property
    def spec(self) -> PolicySpec:
        """The contract; ValueError says what cannot be."""
        return self.contract.spec(self.task)

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the tasks, in order; ValueError if one is named twice."""
        return task_names(self.task)

    @property
    def drawn(self) -> Randomization:
        """What is drawn anew for every episode; ValueError for an unknown preset or rig value."""
        return centred(load_randomization(self.randomization), self.rig)

    def knobs_at(self, level: float) -> dict[str, float]:
        """All knobs at a level of difficulty in 0..1; 1 is what the worlds are meant to be."""
        return {
            **self.knobs,
            **{name: start + (end - start) * level for name, (start, end) in self.curriculum.items()},
        }

    def only(self, task: str) -> "WorldSettings":
        """The same worlds with another task, or some of the tasks; knobs that these do not have are left out."""
        known = {knob for name in task_names(task) for knob in knobs_of(name)}
        return replace(
            self,
            task=task,
            knobs={name: value for name, value in self.knobs.items() if name in known},
            curriculum={name: ends for name, ends in self.curriculum.items() if name in known},
        )

    def make_task(self, task: int = 0, level: float = 1.0) -> Task:
        """Task number `task` at a level of difficulty in 0..1; ValueError for an unknown task or knob, a bad level."""
        if not 0.0 <= level <= 1.0:
            raise ValueError(f"the level of an episode is {level}; it must lie in 0..1")
        wanted = self.knobs_at(level)
        known = [knobs_of(name) for name in self.tasks]
        anywhere = sorted({knob for knobs in known for knob in knobs})
        if unknown := sorted(wanted.keys() - set(anywhere)):
            raise ValueError(f"task {self.task!r} has no knob {unknown[0]!r}; it has {', '.join(anywhere) or 'none'}")
        mine = {name: value for name, value in wanted.items() if name in known[task]}
        return make_task(self.tasks[task], **mine)

    def wordings(self) -> list[str]:
        """Instructions of training episodes, with every word that training may use; none of worlds from elsewhere."""
        if not set(self.tasks) <= TASKS.keys():
            return []
        made = [self.make_task(number) for number in range(len(self.tasks))]
        return sorted({task.sample(seed).instruction for task in made for seed in _WORDED})

    def check(self) -> None:
        """Raise ValueError for tasks that have no common contract, and for knobs that are unknown or leave no room."""
        if len(self.tasks) > 1:
            self.spec  # noqa: B018 - asked for its error
        for number in range(len(self.tasks)):
            for level in (0.0, 1.0) if self.curriculum else (1.0,):
                self.make_task(number, level).sample(0)

    def make(self, num_envs: int, video_size: tuple[int, int] | None = None) -> BatchEnv:
        """An environment with so many worlds of the only task at its full difficulty.

        Raises ValueError naming what is unknown or wrong, and for several tasks.
        """
        if len(self.tasks) > 1:
            raise ValueError(f"worlds of {self.task!r} are made with make_environment, which offers several tasks")
        draw = drawer(self.drawn)
        return BatchEnv(
            self.make_task(), num_envs, video_size=video_size, engine=self.engine, draw=draw, spec=self.spec
        )


def make_environment(settings: WorldSettings, num_envs: int) -> BatchEnv | MultiTaskEnv:
    """The worlds of one rollout worker; a function, so that `functools.partial` of it can be sent to a process."""
    if len(settings.tasks) == 1 and not settings.curriculum:
        return settings.make(num_envs)
    draw = drawer(settings.drawn)
    spec = settings.spec
    return MultiTaskEnv(settings.make_task, len(settings.tasks), num_envs, spec, settings.engine, draw)
