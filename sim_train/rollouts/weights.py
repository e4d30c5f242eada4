"""A policy on its way from the trainer to whoever plays with it."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from sim_train.policies.blueprint import from_blueprint, to_blueprint
from sim_train.policies.kinds import StoredPolicy


@dataclass(frozen=True, eq=False)
class Weights:
    """A policy as workers receive it."""

    blueprint: str
    """JSON of `to_blueprint`."""
    arrays: dict[str, NDArray[np.generic]]
    version: int


def weights_of(policy: StoredPolicy, version: int) -> Weights:
    """A copy of the policy's present weights."""
    arrays = {name: value.detach().cpu().numpy().copy() for name, value in policy.state_dict().items()}
    return Weights(json.dumps(to_blueprint(policy)), arrays, version)


def build(weights: Weights, policy: StoredPolicy | None, known: Weights | None) -> StoredPolicy:
    """The policy of these weights; `policy`, made of the weights `known`, is used again if it is of the same make."""
    if policy is None or known is None or known.blueprint != weights.blueprint:
        policy = from_blueprint(json.loads(weights.blueprint)).eval()
    policy.load_state_dict({name: torch.from_numpy(array) for name, array in weights.arrays.items()})
    return policy
