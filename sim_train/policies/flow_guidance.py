"""Chunks that agree with what the arm does while the policy thinks, for any flow.

Real-Time Execution of Action Chunking Flow Policies (arXiv 2506.07339): on the way from noise to actions every velocity
is pulled towards the committed actions by pseudo-inverse guidance, fully on the first `delay_steps` rows, ever less on
the rest of them, not at all on the rows after. Nothing is trained for it. How closely the chunk follows depends on the
policy: one that knows a single answer to an observation cannot be pulled away from it. The first `delay_steps` rows
are executed whatever the policy says, so in the finished chunk they are the committed ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from policy_api.schema import Committed

MAX_PULL = 5.0
"""beta of the paper: the largest weight of the pull."""

Velocity = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def soft_weights(delay: int, committed: int, rows: int) -> NDArray[np.float32]:
    """How much each of `rows` rows is held to what was committed, the paper's equation 5, (rows,) in 0..1.

    1 for the first `delay` rows, c (e^c - 1) / (e - 1) for the others that were committed, with c falling evenly from
    1 to 0 over them; 0 for the rows after.
    """
    share = np.clip((committed - np.arange(rows)) / (committed - delay + 1), 0, 1)
    weights = share * np.expm1(share) / (math.e - 1)
    weights[:delay] = 1
    return weights.astype(np.float32)


def held(committed: Sequence[Committed | None], horizon: int, width: int) -> NDArray[np.float32]:
    """(B, horizon, width) committed actions, the last one held until the end; zeros in rows without any.

    Raises ValueError for one that is no (P, width) array with 1 <= P <= horizon, or a delay outside 0..P.
    """
    actions = np.zeros((len(committed), horizon, width), dtype=np.float32)
    for row, one in zip(actions, committed, strict=True):
        if one is None:
            continue
        rows = len(one.actions)
        if one.actions.shape != (rows, width) or not 1 <= rows <= horizon or not 0 <= one.delay_steps <= rows:
            raise ValueError(
                f"committed actions of shape {one.actions.shape} with a delay of {one.delay_steps} steps; expected "
                f"(1..{horizon}, {width}) and a delay that they cover"
            )
        row[:rows], row[rows:] = one.actions, one.actions[-1]
    return actions


@dataclass(frozen=True, eq=False)
class Guide:
    """What B chunks are held to; rows of a batch without anything committed are left exactly as they are.

    aim: (B, H, A) in the network's units. weights: (B, H, 1). frozen: (B, H, 1) bool, the rows that are executed in any
    case. limit: the largest weight of the pull.
    """

    aim: torch.Tensor
    weights: torch.Tensor
    frozen: torch.Tensor
    limit: float

    @classmethod
    def of(cls, committed: Sequence[Committed | None], aim: torch.Tensor, steps: int) -> Guide:
        """From `held` actions in the network's units, for a flow of `steps` steps.

        With fewer steps than MAX_PULL the pull is limited to their number, so that one step never overshoots.
        """
        rows = aim.shape[1]
        weights = np.zeros((len(committed), rows, 1), dtype=np.float32)
        frozen = np.zeros((len(committed), rows, 1), dtype=bool)
        for i, one in enumerate(committed):
            if one is not None:
                weights[i, :, 0] = soft_weights(one.delay_steps, len(one.actions), rows)
                frozen[i, : one.delay_steps] = True
        held_to, kept = (torch.from_numpy(array).to(aim.device) for array in (weights, frozen))
        return cls(aim, held_to, kept, min(MAX_PULL, float(steps)))

    def velocity(self, flow: Velocity, x: torch.Tensor, time: float) -> torch.Tensor:
        """Guided velocity (B, H, A) of chunks x (B, H, A) at `time`, from 1 (noise) down to above 0.

        The paper counts time the other way. With its r^2 = t^2 / ((1 - t)^2 + t^2) the pull weighs
        min(limit, ((1 - t)^2 + t^2) / (t (1 - t))).
        """
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            velocity = flow(x, x.new_full((len(x),), time))
            actions = x - velocity * time
            error = ((self.aim - actions) * self.weights).detach()
            (pull,) = torch.autograd.grad(actions, x, error)
        rest = 1 - time
        weight = min(self.limit, (rest**2 + time**2) / (time * rest)) if rest > 0 else self.limit
        return (velocity - weight * pull).detach()

    def finished(self, x: torch.Tensor) -> torch.Tensor:
        """The chunks (B, H, A) with the committed actions in their frozen rows."""
        return torch.where(self.frozen, self.aim, x)
