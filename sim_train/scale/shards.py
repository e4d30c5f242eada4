"""Weights, gradients and moments cut over the processes of one job: FSDP2, and how they become whole again."""

from __future__ import annotations

import warnings

import torch
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from sim_train.scale.layers import repeated_layers


def shard(policy: nn.Module, device: torch.device) -> None:
    """Cut every repeated layer, and the rest, over all processes; each forward pass then needs all of them."""
    # nobody changes what a policy answers in place
    warnings.filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view tensor")
    mesh = init_device_mesh(device.type, (torch.distributed.get_world_size(),))
    for layer in repeated_layers(policy).values():
        fully_shard(layer, mesh=mesh)
    fully_shard(policy, mesh=mesh)


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor on the CPU without its graph; one in shards is gathered, which every process must do at once."""
    if isinstance(tensor, DTensor):
        tensor = tensor.full_tensor()
    return tensor.detach().cpu()


def place(tensor: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """A whole tensor as `like` lies: on its device, or this process's shard of it."""
    tensor = tensor.to(like.device)
    if isinstance(like, DTensor):
        return distribute_tensor(tensor, like.device_mesh, like.placements)
    return tensor
