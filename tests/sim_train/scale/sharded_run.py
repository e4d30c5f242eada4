"""One process of a small training in shards: python sharded_run.py OUT; torchrun says which one it is.

Writes the losses and the whole weights after a few updates.
"""

import json
import sys
from pathlib import Path

import torch
from torch import distributed

sys.path.insert(0, str(Path(__file__).parents[1]))

from made_backbones import made, seen
from safetensors.torch import save_file

from sim_train.policies.imitation import SftLossConfig
from sim_train.scale.config import LoraConfig, ScaleConfig
from sim_train.scale.gradients import ShardedGradients
from sim_train.scale.trainee import Trainee

SETTINGS = ((0, 2), (2, 0))  # rank of adapters, micro-batch
ROWS = 7  # not a multiple of the processes


def train(fsdp, threads, lora=0, updates=5):
    """Losses, and the trainee, after a few updates on the same data."""
    config = ScaleConfig(device="cpu", fsdp=fsdp, lora=LoraConfig(rank=lora))
    trainee = Trainee(made().train(), config)
    optimizer = torch.optim.AdamW(trainee.parameters, lr=3e-3)
    actions = torch.linspace(-0.04, 0.04, ROWS)[:, None, None].expand(ROWS, 2, 4)
    weights = torch.full((ROWS, 2, 4), 1 / (8 * ROWS))
    inputs = trainee.policy.inputs(*seen(ROWS))

    def loss(rows):
        place, unused = torch.zeros(len(rows), 3), torch.empty(len(rows), 0)
        return trainee.policy.imitation_loss(inputs[rows], actions[rows], weights[rows], place, SftLossConfig(), unused)

    losses, norms = [], []
    for _ in range(updates):
        reports = threads.gradient(loss, trainee.parameters, ROWS)
        losses.append(sum(report.imitation_loss for report in reports))
        norms.append(float(torch.nn.utils.clip_grad_norm_(trainee.parameters, 1.0)))
        optimizer.step()
    answers = threads.map(lambda rows: trainee.policy(inputs[rows]), ROWS)
    return {"losses": losses, "norms": norms}, trainee, torch.cat(answers)


def main():
    out = Path(sys.argv[1])
    torch.set_num_threads(1)
    distributed.init_process_group("gloo")
    for lora, micro_batch in SETTINGS:
        told, trainee, answers = train(True, ShardedGradients(micro_batch), lora)
        plain, arrays = trainee.plain().state_dict(), trainee.arrays()
        before = [parameter.to_local().clone() for parameter in trainee.module.parameters()]
        for parameter in trainee.parameters:
            parameter.detach().zero_()
        trainee.restore(arrays)
        after = [parameter.to_local() for parameter in trainee.module.parameters()]
        told["restored"] = all(torch.equal(a, b) for a, b in zip(after, before, strict=True))
        told["shard"] = sum(part.numel() for part in before)
        told["whole"] = sum(p.numel() for p in trainee.module.parameters())
        name = f"{lora}-{micro_batch}-{distributed.get_rank()}"
        (out / f"{name}.json").write_text(json.dumps(told))
        save_file({**plain, "answers": answers}, out / f"{name}.safetensors")
    distributed.destroy_process_group()


if __name__ == "__main__":
    main()
