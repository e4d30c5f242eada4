"""pi0 and SmolVLA behind the interface of every policy; see `sim_train.policies.protocol.Policy`.

Time runs from 1 (noise) to 0 (actions) in LeRobot's files as in our flows, so its weights are taken as they are. The
networks plan `chunk` steps of `max_action_dim` numbers. The contract's chunk is the beginning of that: the rest is
integrated and explored with it, but neither played nor learned nor counted in a likelihood.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from policy_api.schema import Committed, FieldSpec, PolicySpec
from tokenizers import Tokenizer
from torch import nn
from torch.nn import functional

from sim_train.policies.flow_exploration import ExplorationConfig
from sim_train.policies.flow_policy import FlowPolicy
from sim_train.policies.imitation import SftLossConfig, SftReport
from sim_train.policies.lerobot.config import LeRobotConfig
from sim_train.policies.lerobot.config_json import default_cameras
from sim_train.policies.lerobot.pi0_network import Pi0Network
from sim_train.policies.lerobot.smolvla_network import SmolVlaNetwork
from sim_train.policies.lerobot.statistics import ACTION, STATE, Scaling
from sim_train.policies.lerobot.text import Instructions
from sim_train.policies.lerobot.tokens import Encoded, padded
from sim_train.policies.observations import state_scale
from sim_train.policies.protocol import LogProb, PolicyInputs, PolicyOutput


class LeRobotPolicy(FlowPolicy):
    """What pi0 and SmolVLA share.

    Without `scalings`, actions and state are scaled by their ranges in the contract, and state by the first
    demonstrations that the policy learns from. Statistics belong to the weights: once there, they stay.

    Args:
        spec: the contract.
        config: sizes of the network.
        tokenizer: the language model's.
        exploration: how it explores in reinforcement learning.
        scalings: of `STATE` and `ACTION`, as the weights were trained with; None: there were none.

    Raises:
        ValueError: contract, sizes and statistics that do not fit together; the text names what.
    """

    network_class: ClassVar[type[Pi0Network] | type[SmolVlaNetwork]]

    def __init__(
        self,
        spec: PolicySpec,
        config: LeRobotConfig,
        tokenizer: Tokenizer,
        exploration: ExplorationConfig,
        scalings: Mapping[str, Scaling] | None = None,
    ) -> None:
        chunk = (config.chunk, config.max_action_dim)
        super().__init__(spec, config.steps, exploration, config.expert_width, chunk)
        _check_fit(spec, config)
        self.config = config
        self.exploration_config = exploration
        self.cameras = [camera for _, camera in config.cameras or default_cameras(spec)]
        self.tokenizer = Instructions(tokenizer, config.text_tokens, config.language.vocab, config.bos_token)
        self.network = self.network_class(config)  # type: ignore[arg-type]  # each kind has its own sizes
        self._lower, self._upper = (np.array([getattr(f, end) for f in spec.action]) for end in ("lower", "upper"))
        known = scalings is not None
        if scalings is None:
            scalings = {STATE: _range_of(spec.state), ACTION: _range_of(spec.action)}
        _check_units(spec, scalings)
        for name, of in (("state", STATE), ("action", ACTION)):
            shift, scale = scalings[of].shift, scalings[of].scale
            self.register_buffer(f"{name}_shift", torch.zeros(len(shift)).copy_(shift))  # on the default device
            self.register_buffer(f"{name}_scale", torch.ones(len(scale)).copy_(scale))
        self.register_buffer("state_known", torch.tensor([known]))

    @property
    def scalings(self) -> dict[str, Scaling]:
        """What state and action are shifted and scaled by."""
        return {
            of: Scaling(self.get_buffer(f"{name}_shift"), self.get_buffer(f"{name}_scale"))
            for name, of in (("state", STATE), ("action", ACTION))
        }

    @property
    def action_head(self) -> tuple[nn.Module, int]:
        """Where the trunk that PPO's critic reads ends, and its width: the encoded observation, as in piRL."""
        return self.network.trunk, self.config.language.width

    def normalise_state_by(self, state: NDArray[np.float32]) -> None:
        """Centre and scale state by (N, S) recorded ones, unless the weights have statistics of their own."""
        if not self.get_buffer("state_known"):
            values = torch.as_tensor(state, dtype=torch.float32)
            self.get_buffer("state_shift").copy_(values.mean(0))
            self.get_buffer("state_scale").copy_(state_scale(values))
            self.get_buffer("state_known").fill_(True)

    def normalise(self, actions: torch.Tensor) -> torch.Tensor:
        """Actions (B, H, A) in the contract's units -> the network's chunk (B, chunk, max_action_dim).

        As in LeRobot, numbers that the robot does not have are 0, and steps after the last one repeat it.
        """
        normal = (actions.float() - self.get_buffer("action_shift")) / self.get_buffer("action_scale")
        after = normal[:, -1:].expand(-1, self.config.chunk - normal.shape[1], -1)
        return padded(torch.cat([normal, after], dim=1), self.config.max_action_dim)

    def in_units(self, x: torch.Tensor) -> NDArray[np.float32]:
        """Actions (B, H, A) of the network's chunks; what lies outside the contract's range goes to its end."""
        actions = self._played(x) * self.get_buffer("action_scale") + self.get_buffer("action_shift")
        return actions.detach().cpu().numpy().astype(np.float64).clip(self._lower, self._upper).astype(np.float32)

    def act(
        self,
        images: Mapping[str, NDArray[np.uint8]],
        state: NDArray[np.float32],
        instructions: Sequence[str],
        temperature: float = 0.0,
        draws: NDArray[np.float32] | None = None,
        *,
        committed: Sequence[Committed | None] | None = None,
    ) -> PolicyOutput:
        """Choose one chunk for each observation; see `FlowPolicy.act`."""
        out = super().act(images, state, instructions, temperature, draws, committed=committed)
        horizon, dims = self._spec.horizon, len(self._spec.action)
        return dataclasses.replace(out, log_probs=out.log_probs[:, :horizon, :dims])

    def log_prob(self, inputs: PolicyInputs, drawn: Mapping[str, torch.Tensor], temperature: float) -> LogProb:
        """Likelihood of what the contract plays, (B, H, A); see `FlowPolicy.log_prob`."""
        whole = super().log_prob(inputs, drawn, temperature)
        return LogProb(self._played(whole.log_probs), self._played(whole.entropy))

    def prefix_of(self, inputs: PolicyInputs) -> Encoded:
        """The encoded observations."""
        state = (inputs.state - self.get_buffer("state_shift")) / self.get_buffer("state_scale")
        images = [inputs.images[name] for name in self.cameras]
        return self.network.encode(images, inputs.text, padded(state, self.config.max_state_dim))

    def flow(self, prefix: Encoded, x: torch.Tensor, time: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Velocity (B, chunk, max_action_dim) and hidden states; see `FlowPolicy.flow`."""
        return self.network.velocity(prefix, x, time)

    def imitation_loss(
        self,
        inputs: PolicyInputs,
        actions: torch.Tensor,
        weights: torch.Tensor,
        target_position: torch.Tensor,
        config: SftLossConfig,
        draws: torch.Tensor,
    ) -> tuple[torch.Tensor, SftReport]:
        """Flow matching on the contract's part of the chunk; nothing is asked about the target's place."""
        after = self.config.chunk - weights.shape[1]
        whole = functional.pad(weights, (0, self.config.max_action_dim - weights.shape[2], 0, after))
        loss = self.flow_matching(self(inputs), actions.to(inputs.state.device), whole, draws)
        return loss, SftReport(float(loss.detach()), None)

    def _played(self, x: torch.Tensor) -> torch.Tensor:
        """The contract's part (B, H, A) of the network's chunks."""
        return x[:, : self._spec.horizon, : len(self._spec.action)]


class Pi0(LeRobotPolicy):
    """pi0 (arXiv 2410.24164)."""

    network_class = Pi0Network


class SmolVla(LeRobotPolicy):
    """SmolVLA (arXiv 2506.01844)."""

    network_class = SmolVlaNetwork


def _check_fit(spec: PolicySpec, config: LeRobotConfig) -> None:
    for what, has, room in (
        ("a horizon", spec.horizon, config.chunk),
        ("state numbers", len(spec.state), config.max_state_dim),
        ("action numbers", len(spec.action), config.max_action_dim),
    ):
        if has > room:
            raise ValueError(f"the contract has {what} of {has}; the network has room for {room}")
    mapped, cameras = sorted(name for _, name in config.cameras), sorted(c.name for c in spec.cameras)
    if config.cameras and mapped != cameras:
        raise ValueError(f"the table of cameras names {mapped}; the contract has {cameras}")
    if not cameras:
        raise ValueError("the contract has no camera; these networks need one at least")


def _range_of(fields: Sequence[FieldSpec]) -> Scaling:
    ends = np.array([(field.lower, field.upper) for field in fields], dtype=np.float32)
    lower, upper = torch.from_numpy(ends).unbind(1)
    return Scaling((lower + upper) / 2, (upper - lower) / 2)


def _check_units(spec: PolicySpec, scalings: Mapping[str, Scaling]) -> None:
    """Files do not name units; values around which a robot of the contract cannot be give other ones away."""
    for what, fields in ((STATE, spec.state), (ACTION, spec.action)):
        if len(scalings[what].shift) != len(fields):
            raise ValueError(f"statistics of {what} are of {len(scalings[what].shift)} numbers, expected {len(fields)}")
        for field, middle, width in zip(
            fields, scalings[what].shift.tolist(), scalings[what].scale.tolist(), strict=True
        ):
            if (middle, width) == (0.0, 1.0):
                continue  # not scaled at all
            if not field.lower - width <= middle <= field.upper + width or width > 4 * (field.upper - field.lower):
                raise ValueError(
                    f"statistics of {what}: {field.name!r} is about {middle:.4g} +- {width:.4g}, the contract allows "
                    f"{field.lower:.4g}..{field.upper:.4g} {field.unit}: other units, or another order of numbers"
                )
