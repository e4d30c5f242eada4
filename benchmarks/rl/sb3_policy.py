"""Our network as a policy of stable-baselines3: the same trunk and head, made continuous.

PPO there needs a continuous distribution. Its mean is the expectation over the bins of the token head's softmax,
sharpened so that it lies close to the likeliest token (a soft argmax), in -1..1 of each action's range. Its standard
deviation is a free parameter of each number, as is usual there; it starts at the spread that the token policy has at
temperature 1. The value head reads the trunk's features as the critic of our own PPO does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from gymnasium import spaces
from stable_baselines3.common.policies import MultiInputActorCriticPolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.type_aliases import PyTorchObs
from torch import nn

from sim_train.algorithms.critic import TrunkTap, action_head
from sim_train.policies.protocol import PolicyInputs
from sim_train.policies.token_vla import TokenVla

_IMAGE = "image_"
_LEAST_STD = 0.02


def policy_inputs(seen: PyTorchObs) -> PolicyInputs:
    """Observations of `benchmarks.rl.sb3_worlds.Worlds` as the network takes them."""
    if not isinstance(seen, dict):
        raise TypeError(f"observations must be a dictionary of tensors; got {type(seen).__name__}")
    return PolicyInputs(
        images={
            k.removeprefix(_IMAGE): v.permute(0, 2, 3, 1).contiguous() for k, v in seen.items() if k.startswith(_IMAGE)
        },
        state=seen["state"].float(),
        text=seen["text"].long(),
    )


class TokenFeatures(BaseFeaturesExtractor):
    """The whole network: means of the action's numbers in -1..1, and after them the trunk's features, averaged.

    Args:
        observation_space: of the environment.
        policy: our network, with the weights to start from.
        sharpness: factor of the logits before the expectation is taken.
    """

    def __init__(self, observation_space: spaces.Space[Any], policy: TokenVla, sharpness: float) -> None:
        self.numbers = policy.spec.horizon * len(policy.spec.action)
        head, self.width = action_head(policy)
        super().__init__(observation_space, self.numbers + self.width)
        self.policy = policy
        self.sharpness = sharpness
        self._tap = TrunkTap(head)
        bins = policy.binning.bins
        self.register_buffer("centres", (torch.arange(bins) + 0.5) / bins * 2 - 1)

    def forward(self, observations: PyTorchObs) -> torch.Tensor:
        """(B, numbers + width)."""
        logits = self.policy(policy_inputs(observations))[0]
        means = (logits * self.sharpness).softmax(-1) @ self.get_buffer("centres")
        return torch.cat([means.flatten(1), self._tap.take().float().mean(dim=1)], dim=1)

    @torch.no_grad()
    def spread(self, observations: PyTorchObs) -> torch.Tensor:
        """(numbers,) standard deviation of the token policy at temperature 1, the mean over observations."""
        shares = self.policy(policy_inputs(observations))[0].softmax(-1)
        self._tap.take()
        centres = self.get_buffer("centres")
        variance = shares @ centres**2 - (shares @ centres) ** 2
        return variance.clamp_min(0).sqrt().mean(0).flatten()


class _Parts(nn.Module):
    """Splits the features: means for the actor, the rest, through a hidden layer, for the critic."""

    def __init__(self, numbers: int, width: int, hidden: int) -> None:
        super().__init__()
        self.latent_dim_pi, self.latent_dim_vf = numbers, hidden
        self.value = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, hidden), nn.SiLU())

    def forward(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Means (B, numbers) and features of the value (B, hidden)."""
        return self.forward_actor(features), self.forward_critic(features)

    def forward_actor(self, features: torch.Tensor) -> torch.Tensor:
        """(B, numbers)."""
        return features[:, : self.latent_dim_pi]

    def forward_critic(self, features: torch.Tensor) -> torch.Tensor:
        """(B, hidden)."""
        values: torch.Tensor = self.value(features[:, self.latent_dim_pi :])
        return values


class TokenGaussianPolicy(MultiInputActorCriticPolicy):
    """An actor and a critic on our network.

    Args:
        observation_space: of the environment.
        action_space: of the environment.
        lr_schedule: learning rate.
        policy: our network, with the weights to start from.
        sharpness: see `TokenFeatures`.
        hidden: width of the critic's hidden layer.
    """

    def __init__(
        self,
        observation_space: spaces.Dict,
        action_space: spaces.Box,
        lr_schedule: Callable[[float], float],
        *,
        policy: TokenVla,
        sharpness: float,
        hidden: int = 128,
        use_sde: bool = False,
    ) -> None:
        self._hidden = hidden
        super().__init__(
            observation_space,
            action_space,
            lr_schedule,
            use_sde=use_sde,
            ortho_init=False,  # it would overwrite the weights
            normalize_images=False,
            features_extractor_class=TokenFeatures,
            features_extractor_kwargs={"policy": policy, "sharpness": sharpness},
        )

    @property
    def network(self) -> TokenFeatures:
        """Our network inside."""
        network = self.features_extractor
        if not isinstance(network, TokenFeatures):
            raise TypeError(f"unexpected features {type(network).__name__}")
        return network

    def _build_mlp_extractor(self) -> None:
        self.mlp_extractor = _Parts(self.network.numbers, self.network.width, self._hidden)  # type: ignore[assignment]

    def _build(self, lr_schedule: Callable[[float], float]) -> None:
        super()._build(lr_schedule)
        self.action_net = nn.Identity()  # the token head has made the means
        nn.init.zeros_(self.value_net.weight)
        nn.init.zeros_(self.value_net.bias)
        self.optimizer = self.optimizer_class(self.parameters(), lr=lr_schedule(1), **self.optimizer_kwargs)  # type: ignore[call-arg]

    def explore_by(self, std: torch.Tensor) -> None:
        """Set the standard deviation (numbers,) of the actions, in -1..1."""
        with torch.no_grad():
            self.get_parameter("log_std").copy_(std.clamp_min(_LEAST_STD).log())
