"""A whole training run on the toy task in a process of its own: `python toy_training.py DIR`."""

import dataclasses
import sys

from tiny_model import TINY
from toy_env import TOY_SPEC, make_toy

from sim_train import train
from sim_train.config import from_plain
from sim_train.envs import contract


def settings(root):
    return from_plain(
        {
            "output_dir": str(root),
            "task": "toy",
            "rollout": {"workers": 1, "envs_per_worker": 8},
            "policy": {"sizes": dataclasses.asdict(TINY)},
            "demonstrations": {"episodes": 6},
            "sft": {"steps": 120, "batch": 8, "enough": 2.0, "check_every": 60},
            "rl": {
                "sampling": {"groups": 4, "group_size": 4},
                "update": {"learning_rate": 2e-3, "minibatches": 2, "temperature": 2.0},
                "validate_every": 5,
                "validation_episodes": 8,
                "stop_at": 2.0,
                "min_start": 0.0,
                "max_updates": 20,
            },
        }
    )


def patch():
    """Let `sim_train.train` play with the toy."""
    train.make_environment = make_toy
    contract.task_spec = lambda *arguments: TOY_SPEC


if __name__ == "__main__":
    patch()
    raise SystemExit(train.run_main(settings(sys.argv[1])))
