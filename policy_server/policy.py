"""What the server needs of a policy."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from policy_api.schema import PolicySpec


class PolicyOutput(Protocol):
    """What `Policy.act` returns."""

    @property
    def actions(self) -> NDArray[np.float32]:
        """Actions (B, H, A) in the units of the contract."""
        ...


class Policy(Protocol):
    """A loaded policy; `sim_train.checkpoint.load_policy` returns one. Called by one thread at a time."""

    @property
    def spec(self) -> PolicySpec:
        """The contract that the policy was trained for."""
        ...

    @property
    def revision(self) -> str:
        """Content hash of the weights."""
        ...

    def act(
        self,
        images: dict[str, NDArray[np.uint8]],
        state: NDArray[np.float32],
        instructions: list[str],
        temperature: float = 0.0,
    ) -> PolicyOutput:
        """Images (B, S, S, 3) by camera, state (B, 7) in rad and m, one instruction a row. Temperature 0: greedy."""
        ...
