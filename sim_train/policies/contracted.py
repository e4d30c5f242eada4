"""What a policy of any kind knows of its contract and of itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from policy_api.schema import PolicySpec
from torch import nn

from sim_train.policies.observations import check_observations
from sim_train.policies.protocol import PolicyInputs


class ContractedPolicy(nn.Module):
    """A network made for a contract; see `sim_train.policies.protocol.Policy` for the interface.

    Args:
        spec: the contract.

    Raises:
        InvalidSpec: the contract contradicts itself.
    """

    tokenizer: Any
    """Instructions -> (B, T) int64 token ids; `words` asks it, unless the kind says more."""

    def __init__(self, spec: PolicySpec) -> None:
        super().__init__()
        spec.validate()
        self._spec = spec
        self._revision = ""

    @property
    def spec(self) -> PolicySpec:
        """The contract that the policy was made for."""
        return self._spec

    @property
    def revision(self) -> str:
        """Content hash of the weights; empty while they have never been saved."""
        return self._revision

    @revision.setter
    def revision(self, revision: str) -> None:
        self._revision = revision

    @property
    def draw_size(self) -> int:
        """Uniform numbers that one sampled chunk needs: one for each number of the chunk, unless the kind says more."""
        return self._spec.horizon * len(self._spec.action)

    def words(self, instructions: Sequence[str]) -> NDArray[np.int64]:
        """(B, T) token ids of the instructions; ValueError for one that the kind cannot take."""
        ids: NDArray[np.int64] = self.tokenizer(instructions)
        return ids

    def inputs(
        self, images: Mapping[str, NDArray[np.uint8]], state: NDArray[np.float32], instructions: Sequence[str]
    ) -> PolicyInputs:
        """Check observations against the contract and turn them into tensors where the weights are.

        Raises:
            ValueError: a camera too few or too many, a wrong shape or type, a state that is not finite, or an
                instruction that `words` refuses.
        """
        check_observations(self._spec, images, state, len(instructions))
        device = next(self.parameters()).device
        return PolicyInputs(
            images={c.name: torch.as_tensor(images[c.name], device=device) for c in self._spec.cameras},
            state=torch.as_tensor(state, dtype=torch.float32, device=device),
            text=torch.as_tensor(self.words(instructions), device=device),
        )
