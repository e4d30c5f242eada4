"""A whole training run on the toy task in a process of its own: `python toy_training.py DIR [MOMENT]`.

At a moment of `DEATHS` the process kills itself, as `kill -9` would; at "endless" imitation has no end; at "hold" it is
held up in the middle of a step until the file `asked` tells that a signal was heard, and for ever after.
"""

import dataclasses
import os
import shutil
import signal
import sys
import time
from pathlib import Path

from tiny_model import TINY
from toy_env import TOY_SPEC, make_toy

from sim_train import resume, train
from sim_train.checkpoint import store
from sim_train.config import from_plain
from sim_train.datasets import demonstrations
from sim_train.envs import contract
from sim_train.reports.progress import MetricsFile
from sim_train.stages import imitate
from sim_train.stages.imitate import Imitation
from sim_train.stages.learner import Reinforcement

STEPS, UPDATES = 40, 8


def settings(root, steps=STEPS):
    return from_plain(
        {
            "output_dir": str(root),
            "task": "toy",
            "rollout": {"workers": 1, "envs_per_worker": 8},
            "policy": {"sizes": dataclasses.asdict(TINY)},
            "demonstrations": {"episodes": 6},
            "sft": {"steps": steps, "batch": 8, "enough": 2.0, "check_every": 20},
            "rl": {
                "sampling": {"groups": 4, "group_size": 4},
                "update": {"learning_rate": 2e-3, "minibatches": 2, "temperature": 2.0},
                "validate_every": 3,
                "validation_episodes": 8,
                "stop_at": 2.0,
                "min_start": 0.0,
                "max_updates": UPDATES,
            },
        }
    )


def patch():
    """Let `sim_train.train` play with the toy, and save after every step."""
    train.make_environment = make_toy
    contract.task_spec = lambda *arguments: TOY_SPEC
    resume._COSTS_BETWEEN_SAVES = 0


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def meet(owner, name, count, before=None, after=None, of=""):
    """Do something around call number `count` of a function, of those whose first argument speaks of `of`."""
    whole = getattr(owner, name)
    calls = []

    def met(first, *others, **named):
        if of in str(getattr(first, "path", first)):
            calls.append(1)
            if before and len(calls) == count:
                before(first, *others)
        result = whole(first, *others, **named)
        if after and len(calls) == count:
            after()
        return result

    setattr(owner, name, met)


def tear(metrics, record):
    """Write the first half of a line."""
    with metrics.path.open("a") as file:
        file.write('{"update": 14, "torn')
    die()


def killed(*_):
    die()


def hold(imitation):
    """In the middle of a step."""
    Path(sys.argv[1], "held").touch()
    flag = signal.getsignal(signal.SIGINT).__self__
    while True:
        time.sleep(0.01)
        if flag.requested:
            Path(sys.argv[1], "asked").touch()


# what the process dies in, in the order in which a run comes by
DEATHS = {
    "demonstrations are played, not written": (demonstrations.DemonstrationSet, "append", 1, killed),
    "a shard is written, not listed": (demonstrations, "write_index", 1, killed),
    "the first step of imitation": (Imitation, "advance", 1, killed),
    "new weights are written, but not in place": (Path, "replace", 5, killed, None, "state/sft/arrays"),
    "half of a checkpoint is written": (store, "write_manifest", 1, killed, None, ".sft."),
    "a checkpoint is written, its state is still there": (imitate, "clear_state", 1, killed),
    "the first update is made, but not told": (Reinforcement, "_learn", 1, None, die),
    "new weights are in place, new counters are not": (Path, "replace", 2, killed, None, "state/rl/state"),
    "half of a line is written": (MetricsFile, "write", 2, tear, None, "rl.jsonl"),
    "a line is written, the state is not": (MetricsFile, "write", 1, None, die, "rl.jsonl"),
    "half of a state is removed": (shutil, "rmtree", 1, killed, None, "state/rl"),
}


def main(root, moment=""):
    patch()
    if moment == "hold":
        meet(Imitation, "advance", 5, hold)
    elif moment in DEATHS:
        meet(*DEATHS[moment])
    return train.run_main(settings(root, 10**6 if moment == "endless" else STEPS))


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
