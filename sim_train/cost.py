"""What a run will cost, told before it starts: `python -m sim_train.train preset=paper_robotwin2 dry_run=true`.

Episodes and bytes follow from the settings. Parameters, operations and activations are those of the policy itself,
which imitates one observation; a large one is made without memory for it (torch's meta device).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from policy_api.schema import PolicySpec
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from sim_train.config import TrainConfig
from sim_train.envs.chunks import episode_chunks
from sim_train.policies.choice import PolicyChoice, make_policy
from sim_train.policies.imitation import SftLossConfig
from sim_train.policies.kinds import StoredPolicy
from sim_train.policies.protocol import PolicyInputs
from sim_train.policies.text import build_vocabulary
from sim_train.scale.config import LoraConfig
from sim_train.scale.lora import add_adapters

_ADAM_BYTES = 8  # two float32 moments a weight
_FLOAT_BYTES = 4
_LARGE = 5e7  # weights; with more, a policy is not made in memory to be measured


@dataclass(frozen=True)
class Network:
    """What one policy is and does."""

    parameters: int
    trainable: int
    forward_flops: float
    """Operations of one observation's forward pass."""
    activation_bytes: float
    """Kept of one observation for the backward pass, without gradient checkpointing."""


@dataclass(frozen=True)
class Estimate:
    """What a run costs; an update is one update of reinforcement at its most, without early successes."""

    network: Network
    episodes: tuple[int, int]
    """Of an update: if every group taught something, and if as many are played as may be."""
    updates: int
    """At most."""
    env_steps: tuple[int, int]
    """Of an update, if no episode ends early."""
    chunks: tuple[int, int]
    """Observations of an update."""
    weight_bytes: float
    """Weights, float32, and a bfloat16 copy to compute with where there are GPUs."""
    gradient_bytes: float
    optimizer_bytes: float
    activation_bytes: float
    """Of one observation on a GPU."""
    rollout_bytes: float
    """Of the trajectories of an update: pictures as uint8."""
    float_rollout_bytes: float
    """The same with float32 pictures."""
    gpus: int
    gpu: str
    minutes_per_update: float
    """Measured; 0: not measured."""
    flop_hours_per_update: float
    """GPU hours for the network's operations alone, both waves at their most; 0: the GPU's speed is not given."""

    @property
    def gpu_hours(self) -> float:
        """Of all updates: as measured, else for operations alone; 0 if nothing is known."""
        return self.updates * (self.gpus * self.minutes_per_update / 60 or self.flop_hours_per_update)

    @property
    def state_bytes(self) -> float:
        """Weights, gradients and moments."""
        return self.weight_bytes + self.gradient_bytes + self.optimizer_bytes

    def lines(self) -> list[str]:
        """For a terminal."""
        net, per = self.network, max(self.gpus, 1)
        told = [
            f"policy: {net.parameters / 1e6:,.1f} M parameters, {net.trainable / 1e6:,.1f} M trainable; "
            f"{net.forward_flops / 1e9:,.2f} GFLOP an observation",
            f"an update: {_range(self.episodes)} episodes, {_range(self.env_steps)} environment steps, "
            f"{_range(self.chunks)} observations; at most {self.updates:,} updates, "
            f"{self.updates * self.episodes[0]:,} to {self.updates * self.episodes[1]:,} episodes",
            f"memory: weights {_size(self.weight_bytes)}, gradients {_size(self.gradient_bytes)}, Adam "
            f"{_size(self.optimizer_bytes)}: {_size(self.state_bytes)} in all"
            + (f", {_size(self.state_bytes / per)} on each of {per} GPUs when sharded" if per > 1 else "")
            + f"; activations {_size(self.activation_bytes)} an "
            "observation without gradient checkpointing",
            f"rollout storage: {_size(self.rollout_bytes)} an update with uint8 pictures "
            f"({_size(self.float_rollout_bytes)} as float32)",
        ]
        what = f"{self.gpus} x {self.gpu or 'GPU'}"
        if self.minutes_per_update:
            each = self.gpus * self.minutes_per_update / 60
            told.append(
                f"time: {self.minutes_per_update:g} min an update, measured on {what}: {each:.1f} GPU-hours; "
                f"{self.gpu_hours:,.0f} GPU-hours for {self.updates:,} updates "
                f"({self.updates * self.minutes_per_update / 60:,.0f} h)"
            )
        elif self.flop_hours_per_update:
            told.append(
                f"time: {_hours(self.flop_hours_per_update)} GPU-hours an update on {what} for the network's "
                f"operations; {_hours(self.gpu_hours)} GPU-hours for {self.updates:,} updates; simulation comes on top"
            )
        return told


def estimate(config: TrainConfig) -> Estimate:
    """What a run of these settings costs at its most.

    Raises:
        ConfigError, ValueError: the settings make no policy.
    """
    spec, rl, hardware = config.worlds.spec, config.rl, config.hardware
    network = measure(config.policy, spec, config.scale.lora)
    size, groups = rl.sampling.group_size, rl.sampling.groups
    most = groups if rl.algorithm == "ppo" else math.ceil(groups * rl.sampling.oversample)
    episodes = (groups * size, most * size)
    longest = max(config.worlds.make_task(i).max_chunks for i in range(len(config.worlds.tasks)))
    longest = episode_chunks(longest, spec.horizon)
    chunks = (episodes[0] * longest, episodes[1] * longest)
    actions = spec.horizon * len(spec.action)
    pixels = sum(3 * camera.input_size**2 for camera in spec.cameras)
    rest = _FLOAT_BYTES * len(spec.state) + (8 + 2 * _FLOAT_BYTES) * actions + 8  # tokens, log-probabilities, actions
    passes = chunks[1] + chunks[0] * (1 + 3 * rl.update.epochs)  # rollout; old log-probabilities; forward and backward
    speed = hardware.tflops * 1e12 * hardware.utilisation
    return Estimate(
        network=network,
        episodes=episodes,
        updates=rl.max_updates,
        env_steps=(chunks[0] * spec.horizon, chunks[1] * spec.horizon),
        chunks=chunks,
        weight_bytes=network.parameters * (_FLOAT_BYTES + (2 if hardware.gpus else 0)),
        gradient_bytes=network.trainable * _FLOAT_BYTES,
        optimizer_bytes=network.trainable * _ADAM_BYTES,
        activation_bytes=network.activation_bytes,
        rollout_bytes=chunks[0] * (pixels + rest),
        float_rollout_bytes=chunks[0] * (_FLOAT_BYTES * pixels + rest),
        gpus=hardware.gpus,
        gpu=hardware.gpu,
        minutes_per_update=hardware.minutes_per_update,
        flop_hours_per_update=passes * network.forward_flops / speed / 3600 if speed else 0.0,
    )


def measure(choice: PolicyChoice, spec: PolicySpec, lora: LoraConfig) -> Network:
    """Size, operations and activations of a policy; of a large one without memory for its weights.

    Raises:
        ConfigError: the choice makes no policy for this contract.
    """
    fresh = PolicyChoice(choice.kind, {k: v for k, v in choice.sizes.items() if k not in ("weights", "dataset")})
    with torch.device("meta"):
        policy = make_policy(fresh, spec, build_vocabulary(["a word"]))
    parameters = sum(weight.numel() for _, weight in policy.named_parameters())
    large = parameters > _LARGE
    if not large:  # some kinds compute only where there is something to compute on
        with torch.random.fork_rng(devices=[]):
            policy = make_policy(fresh, spec, build_vocabulary(["a word"]))
    flops, kept = _forward(policy, spec, torch.device("meta" if large else "cpu"))
    if lora.rank and isinstance(policy, torch.nn.Module):
        with torch.device("meta"):
            add_adapters(policy, lora)
    trainable = sum(weight.numel() for _, weight in policy.named_parameters() if weight.requires_grad)
    return Network(parameters, trainable, flops, kept)


def _forward(policy: StoredPolicy, spec: PolicySpec, device: torch.device) -> tuple[float, float]:
    """Operations of one observation's forward pass, and bytes that it keeps for the backward pass."""
    seen = policy.inputs(
        {c.name: np.zeros((1, c.input_size, c.input_size, 3), np.uint8) for c in spec.cameras},
        np.zeros((1, len(spec.state)), np.float32),
        ["a word"],
    )
    images = {name: image.to(device) for name, image in seen.images.items()}
    inputs = PolicyInputs(images, seen.state.to(device), seen.text.to(device))
    chunk = (1, spec.horizon, len(spec.action))
    weights = {weight.untyped_storage()._cdata for _, weight in policy.named_parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in weights:
            kept[storage._cdata] = storage.nbytes()
        return tensor

    with (
        device,
        FlopCounterMode(display=False) as counter,
        torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
        _NothingThere(),
    ):
        draws = torch.zeros(1, policy.imitation_draw_size)
        place = torch.zeros(1, 3)
        held = policy.imitation_loss(inputs, torch.zeros(chunk), torch.ones(chunk), place, SftLossConfig(), draws)
    del held
    return float(counter.get_total_flops()), float(sum(kept.values()))


class _NothingThere(TorchDispatchMode):
    """Lets code read tensors that have no contents: zeros."""

    def __torch_dispatch__(
        self,
        func: Any,  # noqa: ANN401 - whatever torch hands over
        types: Any,  # noqa: ANN401
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        kwargs = kwargs or {}
        empty = bool(args) and isinstance(args[0], torch.Tensor) and args[0].device.type == "meta"
        if empty and func is torch.ops.aten._local_scalar_dense.default:
            return 0.0
        if empty and func is torch.ops.aten._to_copy.default and kwargs.get("device") == torch.device("cpu"):
            return torch.zeros(args[0].shape, dtype=kwargs.get("dtype") or args[0].dtype, device="cpu")
        return func(*args, **kwargs)


def _range(ends: tuple[int, int]) -> str:
    return f"{ends[0]:,}" if ends[0] == ends[1] else f"{ends[0]:,} to {ends[1]:,}"


def _size(count: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if count < 999.5:
            return f"{count:.3g} {unit}"
        count /= 1024
    return f"{count:,.1f} GiB"


def _hours(hours: float) -> str:
    if hours < 0.01:
        return "less than 0.01"
    return f"{hours:,.0f}" if hours >= 10 else f"{hours:.2g}"
