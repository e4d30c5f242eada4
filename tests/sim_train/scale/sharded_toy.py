"""A whole training on the toy task with a miniature of backbones: python sharded_toy.py OUT fsdp=true|false."""

import dataclasses
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from made_backbones import LLAMA, MINI
from toy_env import TOY_SPEC, make_toy

from sim_train import train
from sim_train.config import from_plain
from sim_train.envs import contract


def settings(out, fsdp):
    sizes = {**dataclasses.asdict(MINI), "language": LLAMA}
    return from_plain(
        {
            "output_dir": out,
            "task": "toy",
            "rollout": {"workers": 1, "envs_per_worker": 8},
            "policy": {"kind": "backbone_vla", "sizes": sizes},
            "scale": {"device": "cpu", "fsdp": fsdp, "lora": {"rank": 2}, "micro_batch": 4, "checkpointing": True},
            "demonstrations": {"episodes": 6},
            "sft": {"steps": 40, "batch": 7, "enough": 2.0, "check_every": 20},
            "rl": {
                "sampling": {"groups": 4, "group_size": 4},
                "update": {"learning_rate": 2e-3, "minibatches": 2, "temperature": 2.0},
                "validate_every": 1,
                "validation_episodes": 8,
                "stop_at": 2.0,
                "min_start": 0.0,
                "max_updates": 2,
            },
        }
    )


def main():
    train.make_environment = make_toy
    contract.task_spec = lambda *arguments: TOY_SPEC
    sys.exit(train.run_main(settings(sys.argv[1], sys.argv[2] == "fsdp=true")))


if __name__ == "__main__":
    main()
